import type { Catalog, CatalogLabel, DatabaseName, SourceProblem } from '../contract/catalog.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { ScriptFacts } from '../contract/script.js';
import { analyseScript, ScriptSyntaxError } from '../postgres/script.js';
import { readDataMigrations, type DataReading } from './data-migrations.js';
import type { DefinitionText, Format, FormatReading, Tree } from './formats/format.js';
import { createSourcegraphFormat } from './formats/sourcegraph.js';
import { mergeDataMigrations, windowProblems } from './merge-data.js';
import { mergeDatabases, type MergedDatabase } from './merge.js';
import { rangesSize, toRanges } from './ranges.js';
import { readSource, type SourceOptions, type SourceRelease } from './source.js';

export interface BuildOptions extends SourceOptions {
  readonly product: string;
  readonly format: string;
  /** Name of the database where the tree has no folder for it. */
  readonly database?: DatabaseName | undefined;
}

export interface BuiltCatalog {
  readonly catalog: Catalog;
  /** Every script, and every query of a data migration, by its hash. */
  readonly texts: ReadonlyMap<string, string>;
  /** Labels of the source that hold no migrations, and are no releases therefore. */
  readonly skipped: readonly string[];
}

const FORMATS: Readonly<Record<string, () => Format>> = { sourcegraph: createSourcegraphFormat };
/** Names a database that its source does not name. */
const UNNAMED_DATABASE = 'main';

/**
 * Reads a source and compiles what it knows about a product. Needs no database; the same source gives the same catalog.
 * @throws {UnwindError} InvalidCatalog: details hold every broken rule (`problems`). Nothing is written.
 */
export async function buildCatalog(options: BuildOptions): Promise<BuiltCatalog> {
  const format = FORMATS[options.format]?.();
  if (format === undefined) {
    throw new UnwindError(
      FailureType.InvalidInput,
      `There is no format "${options.format}"; known: ${Object.keys(FORMATS).join(', ')}.`,
    );
  }
  const { releases, skipped } = await readSource(options);
  const built = await compile(options.product, format, releases, options.database ?? UNNAMED_DATABASE);
  return { ...built, skipped };
}

async function compile(product: string, format: Format, sources: readonly SourceRelease[], database: DatabaseName) {
  const labels = sources.map(({ label, publishedAt }): CatalogLabel => ({ label, publishedAt }));
  const { readings, dataReadings } = await readAll(format, sources, database);
  const data = mergeDataMigrations(labels, dataReadings);
  // With each group of rules that stops the build, so that they are told whatever else is broken.
  const dataProblems = [...collapse(sources, dataReadings), ...data.problems];
  const broken = collapse(sources, readings);
  if (broken.length > 0) failOn([...broken, ...dataProblems]);
  const merged = mergeDatabases(readings, format.idOrder);
  if (merged.problems.length > 0) failOn([...merged.problems, ...dataProblems]);
  const releases = releasesOf(labels, merged.databases);
  const scripts = await analyseAll(merged.databases, sources);
  failOn([...scripts.problems, ...dataProblems, ...windowProblems(labels, releases, data)]);
  const catalog: Catalog = {
    catalogFormat: 1,
    product,
    format: format.name,
    databases: merged.databases.map(({ database }) => database),
    labels,
    releases,
    scripts: scripts.facts,
    ...(data.migrations.length > 0 ? { dataMigrations: data.migrations } : {}),
  };
  return { catalog, texts: new Map([...scripts.texts, ...data.texts]) };
}

/** Equal trees are read once: 70 tags of a product may be 20 trees. */
async function readAll(format: Format, releases: readonly SourceRelease[], database: DatabaseName) {
  const byTree = new Map<string, { reading: FormatReading; data: DataReading }>();
  const read = async (tree: Tree) => {
    const reading = await format.read(tree, database);
    const names = reading.databases.map(({ name }) => name);
    return { reading, data: await readDataMigrations(tree, names) };
  };
  const all = [];
  for (const { tree } of releases) {
    const known = byTree.get(tree.key) ?? (await read(tree));
    byTree.set(tree.key, known);
    all.push(known);
  }
  return { readings: all.map(({ reading }) => reading), dataReadings: all.map(({ data }) => data) };
}

/** One broken rule is one problem however many releases carry it; it is shown at the newest of them. */
function collapse(
  releases: readonly SourceRelease[],
  readings: readonly { readonly problems: readonly SourceProblem[] }[],
): SourceProblem[] {
  const found = new Map<string, { problem: SourceProblem; labels: string[] }>();
  for (const [i, { problems }] of readings.entries()) {
    for (const problem of problems) {
      const key = JSON.stringify(problem);
      const entry = found.get(key) ?? { problem, labels: [] };
      entry.labels.push(releases[i]!.label);
      found.set(key, entry);
    }
  }
  if (releases.length === 1) return [...found.values()].map(({ problem }) => problem);
  return [...found.values()].map(({ problem, labels }) => {
    const newest = labels.at(-1)!;
    const others = labels.length === 1 ? '' : ` (so in ${labels.length} releases since ${labels[0]!})`;
    const file = problem.file === null ? null : `${newest}/${problem.file}`;
    const message = `${file === null ? `${newest}: ` : ''}${problem.message}${others}`;
    return { ...problem, file, message };
  });
}

function failOn(problems: readonly SourceProblem[]): void {
  if (problems.length === 0) return;
  const lines = problems.map(({ rule, class: name, file, database, ids, message }) => {
    const where = [file, file === null ? database : null, ids.length > 0 ? ids.join(', ') : null].filter(
      (it) => it !== null,
    );
    return `  ${[where.join(' '), `[${rule}] ${name}`, message].filter((it) => it !== '').join(': ')}`;
  });
  const count = problems.length === 1 ? '1 rule is broken' : `${problems.length} rules are broken`;
  throw new UnwindError(
    FailureType.InvalidCatalog,
    `The source cannot be compiled: ${count}. No catalog was written. Correct these and build again:\n${lines.join('\n')}`,
    { details: { problems } },
  );
}

async function analyseAll(databases: readonly MergedDatabase[], releases: readonly SourceRelease[]) {
  const texts = new Map<string, string>();
  const facts = new Map<string, ScriptFacts>();
  const problems: SourceProblem[] = [];
  for (const { database, carried } of databases) {
    for (const { id, label, text } of carried) {
      if (texts.has(text.sha256)) continue;
      texts.set(text.sha256, text.text);
      try {
        facts.set(text.sha256, await analyseScript(text.text));
      } catch (error) {
        if (!(error instanceof ScriptSyntaxError)) throw error;
        const file = releases.length === 1 ? text.file : `${releases[label]!.label}/${text.file}`;
        problems.push(textProblem(text, { file, database: database.name, ids: [id] }, error));
      }
    }
  }
  const sorted = [...facts].sort(([a], [b]) => (a < b ? -1 : 1));
  return { texts, facts: Object.fromEntries(sorted), problems };
}

function textProblem(
  text: DefinitionText,
  where: Pick<SourceProblem, 'file' | 'database' | 'ids'>,
  error: ScriptSyntaxError,
): SourceProblem {
  const message = `${error.reason} (line ${text.line + error.line - 1}, column ${error.column}).`;
  return { rule: 'text', class: 'text that PostgreSQL cannot parse', ...where, message };
}

/** Labels with the same sets in all databases are one release. */
function releasesOf(labels: readonly CatalogLabel[], databases: readonly MergedDatabase[]): Catalog['releases'] {
  const bySets = new Map<string, { labels: number[]; sets: Record<DatabaseName, [number, number][]> }>();
  for (const index of labels.keys()) {
    const sets = Object.fromEntries(
      databases.map(({ database, sets }) => [database.name, toRanges(sets[index] ?? [])]),
    );
    const key = JSON.stringify(sets);
    const entry = bySets.get(key) ?? { labels: [], sets };
    entry.labels.push(index);
    bySets.set(key, entry);
  }
  const size = (sets: Record<DatabaseName, [number, number][]>) =>
    Object.values(sets).reduce((sum, ranges) => sum + rangesSize(ranges), 0);
  const published = (index: number) => labels[index]?.publishedAt ?? '';
  const firstPublished = (a: number, b: number) => {
    const [left, right] = [published(a), published(b)]; // ISO 8601 in UTC: order of text is order of time
    return left < right ? -1 : left > right ? 1 : a - b;
  };
  return [...bySets.values()]
    .map((release) => ({ ...release, labels: release.labels.sort(firstPublished) }))
    .sort((a, b) => size(a.sets) - size(b.sets) || a.labels[0]! - b.labels[0]!);
}
