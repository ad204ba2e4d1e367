import { handlerAt, newestHandler } from '../catalog/releases.js';
import type { CatalogDataMigration } from '../contract/catalog.js';
import { expectedProgress } from '../plan/data-expected.js';
import { standingRelease } from '../plan/data-plan.js';
import { windowHolds } from '../plan/standing-window.js';
import { surveySteps } from './data-survey.js';
import type { OpenInstance } from './instances.js';
import { surveyAll } from './planning.js';

/** A data migration of the product, and where it is in this instance. */
export interface ListedData extends Omit<CatalogDataMigration, 'handlers'> {
  readonly handler: 'sql' | 'activity';
  /** From 0 to 1; null: nobody knows. */
  readonly progress: number | null;
  /** Who says so: its progress query just now, or the product's own record. */
  readonly progressFrom: 'data' | 'record' | null;
  /** The schema that stands is one for which its queries are written: it can be run here. */
  readonly fits: boolean;
  /** Where it must be at the release that stands; null: anywhere, or nobody can say. */
  readonly expected: 0 | 1 | null;
}

export interface DataList {
  /** The release that stands; null: the instance stands between releases. */
  readonly release: string | null;
  readonly dataMigrations: readonly ListedData[];
}

/** Reads only. @throws {UnwindError} what a plan's survey throws. */
export async function listData(instance: OpenInstance): Promise<DataList> {
  const { catalog } = await instance.catalog();
  const names = instance.databases.map(({ name }) => name);
  const surveys = await surveyAll(instance, 'down');
  const states = Object.fromEntries(Object.values(surveys).map(({ database, state }) => [database, state]));
  const { applied, standing } = standingRelease(catalog, names, states);
  const migrations = (catalog.dataMigrations ?? []).filter(({ database }) => names.includes(database));
  const listed = migrations.map((migration) => {
    const { handlers: _, ...shown } = migration;
    const expected = standing === null ? null : expectedProgress(catalog, names, standing.label, migration);
    const handler = standing === null ? newestHandler(migration) : handlerAt(migration, standing.labelIndex);
    // An empty table is where it should be.
    const direction = expected === 0 ? ('reverse' as const) : ('forward' as const);
    return { shown, expected, step: { ...shown, handler, direction } };
  });
  const { asked, noted } = await surveySteps(
    instance,
    listed.map(({ step }) => step),
    surveys,
  );
  return {
    release: standing?.label ?? null,
    dataMigrations: listed.map(({ shown, expected, step: { handler } }) => {
      const said = asked[shown.id] ?? null;
      const progress = said ?? noted[shown.id] ?? null;
      return {
        ...shown,
        handler: handler.kind,
        progress,
        progressFrom: progress === null ? null : said === null ? ('record' as const) : ('data' as const),
        fits: windowHolds(catalog, applied, shown),
        expected,
      };
    }),
  };
}
