import { findRelease, migrationIds, textAt } from '../../catalog/releases.js';
import { openCatalog } from '../../catalog/store.js';
import type { Catalog, CatalogDataMigration } from '../../contract/catalog.js';
import { ExitCode } from '../../contract/errors.js';
import { argument, stringOption, type CommandSpec, type Invocation } from '../command.js';
import { borderless } from '../table.js';
import { printJson } from '../terminal.js';

export const catalogShowCommand: CommandSpec = {
  name: 'catalog show',
  args: '<folder>',
  summary: 'List the releases and data migrations of a compiled catalog, or the migrations of one release.',
  options: [{ flags: '--release <label>', description: 'show the migrations of this release' }],
  examples: ['catalog show .pg-unwind/dev/catalog', 'catalog show .pg-unwind/dev/catalog --release v2.1.0'],
  json: true,
  withoutConfig: true,
  run: show,
};

async function show(invocation: Invocation): Promise<number> {
  const { terminal, json, options } = invocation;
  const { catalog } = await openCatalog(argument(invocation, 0));
  const label = stringOption(options, 'release');
  if (label === undefined) {
    const releases = releaseRows(catalog);
    const data = catalog.dataMigrations === undefined ? {} : { dataMigrations: catalog.dataMigrations };
    if (json) printJson(terminal, { product: catalog.product, format: catalog.format, releases, ...data });
    else terminal.out(releasesText(catalog, releases));
  } else {
    const release = migrationsOf(catalog, label);
    if (json) printJson(terminal, release);
    else terminal.out(releaseText(release));
  }
  return ExitCode.done;
}

interface ReleaseRow {
  readonly label: string;
  readonly aliases: readonly string[];
  readonly publishedAt: string | null;
  readonly migrations: Readonly<Record<string, number>>;
}

function releaseRows(catalog: Catalog): ReleaseRow[] {
  return catalog.releases.map((release) => {
    const [first, ...others] = release.labels.map((index) => catalog.labels[index]);
    return {
      label: first?.label ?? '?',
      aliases: others.map((it) => it?.label ?? '?'),
      publishedAt: first?.publishedAt ?? null,
      migrations: Object.fromEntries(
        catalog.databases.map(({ name }) => [name, migrationIds(catalog, release, name).length]),
      ),
    };
  });
}

function releasesText(catalog: Catalog, rows: readonly ReleaseRow[]): string {
  const names = catalog.databases.map(({ name }) => name);
  const head = ['release', 'published', ...names, 'also published as'];
  const lines = rows.map((row) => [
    row.label,
    row.publishedAt?.slice(0, 10) ?? '-',
    ...names.map((name) => String(row.migrations[name] ?? 0)),
    row.aliases.join(', '),
  ]);
  return [
    `${catalog.product} (${catalog.format}): ${catalog.labels.length} labels, ${catalog.releases.length} releases`,
    borderless(head, lines),
    ...dataLines(catalog.dataMigrations ?? []),
  ].join('\n');
}

function dataLines(migrations: readonly CatalogDataMigration[]): string[] {
  if (migrations.length === 0) return [];
  const head = ['data migration', 'database', 'introduced', 'deprecated', 'handler', 'reversal', 'description'];
  const rows = migrations.map((it) => [
    it.id,
    it.database,
    it.introduced,
    it.deprecated ?? '-',
    handlerText(it),
    REVERSAL_WORDS[it.reversal],
    it.description,
  ]);
  return ['', borderless(head, rows)];
}

function handlerText({ handlers }: CatalogDataMigration): string {
  const newest = handlers.at(-1)?.handler;
  const versions = handlers.length > 1 ? ` (${handlers.length} versions)` : '';
  return `${newest?.kind === 'activity' ? `activity ${newest.type} on ${newest.taskQueue}` : 'sql'}${versions}`;
}

const REVERSAL_WORDS: Readonly<Record<CatalogDataMigration['reversal'], string>> = {
  reversible: 'reversible',
  notNeeded: 'not needed',
  irreversible: 'irreversible',
};

interface ReleaseMigrations {
  readonly product: string;
  readonly release: string;
  readonly aliases: readonly string[];
  readonly databases: Readonly<Record<string, readonly MigrationRow[]>>;
}

interface MigrationRow {
  readonly id: string;
  readonly name: string;
  readonly parents: readonly string[];
  readonly up: string;
  readonly down: string;
  /** Texts that the id has had: more than one means that it was edited after it was published. */
  readonly texts: { readonly up: number; readonly down: number };
}

function migrationsOf(catalog: Catalog, label: string): ReleaseMigrations {
  const found = findRelease(catalog, label);
  const databases = catalog.databases.map(({ name, migrations }) => {
    const byId = new Map(migrations.map((migration) => [migration.id, migration]));
    const rows = migrationIds(catalog, found.release, name).flatMap((id) => {
      const migration = byId.get(id);
      if (migration === undefined) return [];
      const executes = (direction: 'up' | 'down') =>
        catalog.scripts[textAt(migration, direction, found.labelIndex).sha256]?.execution ?? '?';
      const texts = { up: migration.up.length, down: migration.down.length };
      return [
        { id, name: migration.name, parents: migration.parents, up: executes('up'), down: executes('down'), texts },
      ];
    });
    return [name, rows] as const;
  });
  return {
    product: catalog.product,
    release: found.label.label,
    aliases: found.aliases,
    databases: Object.fromEntries(databases),
  };
}

function releaseText(release: ReleaseMigrations): string {
  const rows = Object.entries(release.databases).flatMap(([database, migrations]) =>
    migrations.map((it) => [
      database,
      it.id,
      it.name,
      `${it.up}${it.texts.up > 1 ? ` (${it.texts.up} texts)` : ''}`,
      `${it.down}${it.texts.down > 1 ? ` (${it.texts.down} texts)` : ''}`,
      it.parents.join(', '),
    ]),
  );
  const aliases = release.aliases.length > 0 ? ` (= ${release.aliases.join(', ')})` : '';
  return [
    `${release.product} ${release.release}${aliases}: ${rows.length} migrations`,
    borderless(['database', 'id', 'name', 'up', 'down', 'parents'], rows),
  ].join('\n');
}
