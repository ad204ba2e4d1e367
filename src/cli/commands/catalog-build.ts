import path from 'node:path';
import { buildCatalog } from '../../catalog/build.js';
import { writeCatalog } from '../../catalog/store.js';
import { ExitCode } from '../../contract/errors.js';
import { requiredOption, stringOption, type CommandSpec, type Invocation } from '../command.js';
import { CliFailure, CommandError } from '../failure.js';
import { printJson } from '../terminal.js';

export const catalogBuildCommand: CommandSpec = {
  name: 'catalog build',
  summary: 'Compile the releases of a product into a folder that plans are made from.',
  details:
    'The source is a folder that holds the migrations of one release (with --release), a folder with one such folder per release, ' +
    'or a git repository (path or URL) whose tags are releases (with --tags). Needs no database; the same source gives the same bytes. ' +
    'Every broken rule of the source is reported at once, and then nothing is written.',
  options: [
    {
      flags: '--format <name>',
      description: 'layout of the migrations',
      default: 'sourcegraph',
      choices: ['sourcegraph'],
    },
    { flags: '--source <where>', description: 'folder, git repository or URL', required: true },
    { flags: '--path <folder>', description: 'folder of the migrations inside each release', default: 'migrations' },
    { flags: '--tags <glob>', description: 'git tags that are releases' },
    { flags: '--release <label>', description: 'the source is one release, named so' },
    { flags: '--product <name>', description: 'name of the product (else the name of the folder that is written)' },
    { flags: '--out <folder>', description: 'where catalog.json and scripts/ are written', required: true },
  ],
  examples: [
    'catalog build --source .pg-unwind/dev/releases --product shop --out catalogs/shop',
    "catalog build --source https://git.example.org/product.git --tags 'v*' --out catalogs/product",
    'catalog build --source ./product --release v2.1.0 --out catalogs/product',
  ],
  json: true,
  withoutConfig: true,
  run: build,
};

async function build({ options, terminal, json }: Invocation): Promise<number> {
  const out = path.resolve(requiredOption(options, 'out'));
  const tags = stringOption(options, 'tags');
  const release = stringOption(options, 'release');
  if (tags !== undefined && release !== undefined) {
    throw new CommandError(
      CliFailure.Usage,
      '--tags makes every tag a release and --release makes the source one: give one of them. Nothing was written.',
    );
  }
  const began = Date.now();
  const built = await buildCatalog({
    format: requiredOption(options, 'format'),
    source: requiredOption(options, 'source'),
    path: requiredOption(options, 'path'),
    ...(tags === undefined ? {} : { tags }),
    ...(release === undefined ? {} : { release }),
    product: stringOption(options, 'product') ?? path.basename(out),
  });
  await writeCatalog(out, built);

  const { catalog, skipped } = built;
  const migrations = catalog.databases.reduce((sum, database) => sum + database.migrations.length, 0);
  const summary = {
    product: catalog.product,
    out,
    labels: catalog.labels.length,
    releases: catalog.releases.length,
    databases: catalog.databases.map(({ name }) => name),
    migrations,
    scripts: Object.keys(catalog.scripts).length,
    dataMigrations: catalog.dataMigrations?.length ?? 0,
    skipped,
    tookMs: Date.now() - began,
  };
  if (json) {
    printJson(terminal, summary);
    return ExitCode.done;
  }
  if (skipped.length > 0) terminal.out(`without migrations, so left out: ${skipped.join(', ')}`);
  const data =
    summary.dataMigrations === 0
      ? ''
      : `, ${summary.dataMigrations} data ${summary.dataMigrations === 1 ? 'migration' : 'migrations'}`;
  terminal.out(
    `catalog of "${summary.product}": ${summary.labels} labels, ${summary.releases} releases, ${migrations} migrations in ` +
      `${summary.databases.join(', ')}, ${summary.scripts} scripts${data}. Written to ${out} in ${(summary.tookMs / 1000).toFixed(1)} s.`,
  );
  return ExitCode.done;
}
