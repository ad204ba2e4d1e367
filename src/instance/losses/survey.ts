import type { Count, Loss, LossPlace, LossReport, LostStructure, UnknownLoss } from '../../contract/losses.js';
import type { Plan } from '../../contract/plan.js';
import type { Destruction } from '../../contract/script.js';
import { planSteps, type PlacedStep } from '../../plan/report.js';
import type { SessionPool } from '../../postgres/session-pool.js';
import { sqlstateOf } from '../../postgres/sqlstate.js';
import type { InstanceDatabase } from '../../step/database.js';
import type { OpenInstance } from '../instances.js';
import { countTables, COUNT_LIMITS, type Counted, type CountLimits } from './count.js';
import { resolveObjects, type Resolved, type Wanted } from './resolve.js';
import { returnsEmpty, type MakesOf } from './returns.js';
import { totalsOf } from './totals.js';

export interface LossSurveyOptions {
  readonly limits?: CountLimits;
  /** What the scripts make (`ScriptFacts.makes`), by hash. */
  readonly makesOf: MakesOf;
  readonly now?: () => Date;
}

/**
 * What the plan loses, with figures of now. Reads only, on the standby where one is configured, and never fails: what cannot be
 * read is said in `remarks`, and its figures are null.
 */
export async function surveyLosses(
  { databases }: Pick<OpenInstance, 'databases'>,
  plan: Plan,
  { limits = COUNT_LIMITS, makesOf, now = () => new Date() }: LossSurveyOptions,
): Promise<LossReport> {
  const steps = planSteps(plan);
  const found = await Promise.all(
    databases.map((database) =>
      surveyDatabase(
        database,
        steps.filter((placed) => placed.database === database.name),
        limits,
      ),
    ),
  );
  const losses = found.flatMap((each) => each.losses);
  return {
    plan: plan.id,
    takenAt: now().toISOString(),
    losses,
    structure: found.flatMap((each) => each.structure),
    returnsEmpty: returnsEmpty(steps, makesOf),
    unknown: steps.flatMap(unknownOf),
    totals: totalsOf(losses),
    remarks: found.flatMap((each) => each.remarks),
  };
}

interface Surveyed {
  readonly losses: readonly Loss[];
  readonly structure: readonly LostStructure[];
  readonly remarks: readonly string[];
}

/** A destruction, and where it stands. */
interface Placed {
  readonly place: LossPlace;
  readonly destruction: Destruction;
}

async function surveyDatabase(
  database: InstanceDatabase,
  steps: readonly PlacedStep[],
  limits: CountLimits,
): Promise<Surveyed> {
  const all = steps.flatMap((placed) =>
    placed.step.destroys
      .filter(({ object }) => object !== '?')
      .map((destruction): Placed => ({ place: placeOf(placed), destruction })),
  );
  const wanted = all.flatMap(({ destruction: { kind, object, cascade, loss } }, n): Wanted[] =>
    loss === 'data' || cascade ? [{ n, kind, parts: object.split('.'), cascade }] : [],
  );
  const { objects, tables, remarks } = await readDatabase(database, wanted, limits);
  const byN = new Map<number, Resolved[]>();
  for (const object of objects) byN.set(object.n, [...(byN.get(object.n) ?? []), object]);
  const losses: Loss[] = [];
  const structure: LostStructure[] = [];
  for (const [n, { place, destruction }] of all.entries()) {
    const its = byN.get(n) ?? [];
    const { kind, object, loss } = destruction;
    if (loss === 'structure') structure.push({ ...place, kind, object, through: null });
    else if (!its.some(({ root }) => root)) losses.push(absent(place, destruction));
    for (const resolved of its) {
      const through = resolved.root ? null : object;
      if (holdsContent(resolved, destruction)) losses.push(lossOf(place, destruction, resolved, through, tables));
      else if (loss === 'data' || !resolved.root)
        structure.push({
          ...place,
          kind: resolved.root ? kind : kindOf(resolved),
          object: resolved.identity,
          through,
        });
    }
  }
  return { losses, structure, remarks: remarks.map((remark) => `${database.name}: ${remark}`) };
}

async function readDatabase(database: InstanceDatabase, wanted: readonly Wanted[], limits: CountLimits) {
  const nothing = {
    objects: [] as readonly Resolved[],
    tables: new Map<number, Counted>() as ReadonlyMap<number, Counted>,
  };
  if (wanted.length === 0) return { ...nothing, remarks: [] };
  const read = (sessions: SessionPool) =>
    sessions.withSession(async ({ client }) => {
      const objects = await resolveObjects(client, wanted);
      const content = objects.filter(({ type }) => CONTENT.has(type));
      return { objects, ...(await countTables(client, content, limits)) };
    });
  const failed: string[] = [];
  for (const sessions of [database.standby, database.sessions]) {
    if (!sessions) continue;
    try {
      const found = await read(sessions);
      return { ...found, remarks: [...failed, ...found.remarks] };
    } catch (error) {
      const why = sqlstateOf(error) === null ? 'no connection' : `SQLSTATE ${sqlstateOf(error)}`;
      failed.push(
        sessions === database.standby
          ? `the standby could not be asked (${why}): counted on the primary`
          : `what is lost could not be looked up (${why}): the scripts’ own words are shown`,
      );
    }
  }
  return { ...nothing, remarks: failed };
}

const CONTENT: ReadonlySet<string> = new Set([
  'table',
  'foreign table',
  'table column',
  'sequence',
  'materialized view',
]);

/** What is computed comes back with what it is computed from. */
function holdsContent({ type, root, computed }: Resolved, { loss }: Destruction): boolean {
  if (computed || (root && loss === 'structure')) return false;
  return CONTENT.has(type) && type !== 'materialized view';
}

const KINDS: Readonly<Record<string, Destruction['kind']>> = {
  table: 'table',
  'foreign table': 'table',
  'table column': 'column',
  sequence: 'sequence',
  'materialized view': 'materializedView',
  view: 'view',
  function: 'function',
  procedure: 'function',
  policy: 'policy',
  trigger: 'trigger',
  'table constraint': 'constraint',
  type: 'type',
};

const kindOf = ({ type }: Resolved): Destruction['kind'] => KINDS[type] ?? 'other';

function lossOf(
  place: LossPlace,
  { kind, certainty }: Destruction,
  resolved: Resolved,
  through: string | null,
  tables: ReadonlyMap<number, Counted>,
): Loss {
  const { relation, column, how, identity } = resolved;
  const counted = relation === null ? undefined : tables.get(relation);
  const its = column === null ? undefined : counted?.columns.get(column);
  return {
    ...place,
    kind: how === 'rows' ? 'rows' : resolved.root ? kind : kindOf(resolved),
    object: identity,
    fate: how === 'rewrite' ? 'changes' : 'goes',
    certainty,
    through,
    found: 'there',
    rows: counted?.rows ?? null,
    values: its?.values ?? null,
    bytes: (column === null ? counted?.bytes : its?.bytes) ?? null,
  };
}

/** The database has none now: an earlier step of the plan may make it. */
function absent(place: LossPlace, { kind, object, certainty }: Destruction): Loss {
  const fate = kind === 'rewrite' ? 'changes' : 'goes';
  const figures: Record<'rows' | 'values' | 'bytes', Count | null> = { rows: null, values: null, bytes: null };
  return { ...place, kind, object, fate, certainty, through: null, found: 'notThere', ...figures };
}

export function placeOf({ leg, database, step: { seq, migration, name } }: PlacedStep): LossPlace {
  return { leg, database, seq, migration, name };
}

function unknownOf(placed: PlacedStep): UnknownLoss[] {
  const unnamed = placed.step.destroys.filter(({ object }) => object === '?');
  return [...new Set(unnamed.map(({ kind }) => whatMayGo(kind)))].map((why) => ({ ...placeOf(placed), why }));
}

function whatMayGo(kind: Destruction['kind']): string {
  if (kind === 'rewrite') return 'rewrites rows of a table that is named only when it runs';
  if (kind === 'rows') return 'deletes rows of a table that is named only when it runs';
  if (kind === 'other') return 'may drop something that is named only when it runs';
  return `may drop a ${kind} that is named only when it runs`;
}
