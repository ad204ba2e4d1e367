import fc from 'fast-check';
import {
  MESSAGES,
  type Case,
  type Database,
  type Fault,
  type FaultKind,
  type Kind,
  type Migration,
  type ScheduledFault,
  type Trigger,
} from './case.js';

/** What is drawn for a migration; which one it is, and what its numbers mean, depends on those before it. */
interface Drawn {
  readonly kind: Kind;
  readonly parents: readonly number[];
  readonly release: number;
  readonly segments: number;
  readonly sleepMs: number;
  readonly variant: number;
}

export interface Limits {
  /** Migrations of a database besides its root. */
  readonly migrations: number;
  readonly databases: number;
  readonly faults: number;
  /** Whether worker processes, which take seconds to start, may be used. */
  readonly processes: boolean;
}

/** Sizes of a search, from quick to large. A seed's remainder says which, so that a seed alone repeats a run. */
export const SIZES: readonly Limits[] = [
  { migrations: 6, databases: 2, faults: 2, processes: false },
  { migrations: 8, databases: 2, faults: 3, processes: true },
  { migrations: 11, databases: 3, faults: 4, processes: true },
  { migrations: 13, databases: 3, faults: 7, processes: true },
];

export const limitsOf = (seed: number): Limits => SIZES[Math.abs(seed) % SIZES.length] as Limits;

const NAMES = ['frontend', 'codeintel', 'insights'];

const kind = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Kind>('atomic') },
  { weight: 3, arbitrary: fc.constant<Kind>('guarded') },
  { weight: 4, arbitrary: fc.constant<Kind>('segmented') },
  { weight: 4, arbitrary: fc.constant<Kind>('index') },
  { weight: 2, arbitrary: fc.constant<Kind>('mixed') },
  { weight: 1, arbitrary: fc.constant<Kind>('reindex') },
  { weight: 1, arbitrary: fc.constant<Kind>('detach') },
  { weight: 1, arbitrary: fc.constant<Kind>('empty') },
  { weight: 1, arbitrary: fc.constant<Kind>('bound') },
  { weight: 1, arbitrary: fc.constant<Kind>('opaque') },
);

const migration: fc.Arbitrary<Drawn> = fc.record({
  kind,
  parents: fc.array(fc.nat(5), { minLength: 1, maxLength: 3 }),
  release: fc.nat(4),
  segments: fc.integer({ min: 2, max: 5 }),
  sleepMs: fc.oneof({ weight: 3, arbitrary: fc.nat(40) }, { weight: 1, arbitrary: fc.integer({ min: 40, max: 250 }) }),
  variant: fc.nat(3),
});

const trigger = fc.oneof(
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('after' as const), ms: fc.nat(1_500) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('done' as const),
      database: fc.nat(2),
      percent: fc.nat(99),
      ms: fc.oneof(fc.nat(30), fc.nat(300)),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('in' as const),
      database: fc.nat(2),
      step: fc.nat(13),
      ms: fc.oneof(fc.constant(0), fc.nat(150)),
    }),
  },
) satisfies fc.Arbitrary<Trigger>;

const hold = fc.integer({ min: 200, max: 3_000 });

const faults = {
  endSessions: fc.record({
    kind: fc.constant('endSessions' as const),
    which: fc.constantFrom('step' as const, 'all' as const),
  }),
  cancelStatement: fc.constant({ kind: 'cancelStatement' as const }),
  restartWorker: fc.constant({ kind: 'restartWorker' as const }),
  killWorker: fc.constant({ kind: 'killWorker' as const }),
  freezeWorker: fc.record({ kind: fc.constant('freezeWorker' as const), ms: fc.integer({ min: 200, max: 9_000 }) }),
  terminateRun: fc.constant({ kind: 'terminateRun' as const }),
  cancelRun: fc.constant({ kind: 'cancelRun' as const }),
  abortRun: fc.constant({ kind: 'abortRun' as const }),
  resetRun: fc.record({ kind: fc.constant('resetRun' as const), event: fc.nat(99) }),
  rivalRun: fc.constant({ kind: 'rivalRun' as const }),
  productLock: fc.record({ kind: fc.constant('productLock' as const), database: fc.nat(2), ms: hold }),
  network: fc.record({
    kind: fc.constant('network' as const),
    how: fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom('cut' as const, 'refuse' as const, 'stall' as const) },
      { weight: 1, arbitrary: fc.constant('silence' as const) },
    ),
    ms: hold,
  }),
  temporalNetwork: fc.record({ kind: fc.constant('temporalNetwork' as const), ms: hold }),
  message: fc.record({
    kind: fc.constant('message' as const),
    database: fc.nat(2),
    about: fc.constantFrom(...MESSAGES),
    side: fc.constantFrom('client' as const, 'server' as const),
    act: fc.constantFrom('drop' as const, 'delay' as const, 'killWorker' as const),
    ms: hold,
  }),
  tableLock: fc.record({
    kind: fc.constant('tableLock' as const),
    database: fc.nat(2),
    ms: hold,
    exclusive: fc.boolean(),
  }),
} satisfies { [K in FaultKind]: fc.Arbitrary<Extract<Fault, { kind: K }>> };

/** Faults that need a process to themselves. */
const OF_PROCESSES: ReadonlySet<FaultKind> = new Set(['killWorker', 'freezeWorker', 'temporalNetwork']);

function faultsWith(workers: Case['workers'], most: number): fc.Arbitrary<ScheduledFault[]> {
  const usual = Object.entries(faults).filter(([name]) => !OF_PROCESSES.has(name as FaultKind));
  const all = usual.map(([name, arbitrary]) => ({
    weight: name === 'message' ? 6 : name === 'network' ? 3 : 2,
    arbitrary: arbitrary as fc.Arbitrary<Fault>,
  }));
  if (workers === 'processes') {
    all.push(
      { weight: 8, arbitrary: faults.killWorker },
      { weight: 6, arbitrary: faults.freezeWorker },
      { weight: 3, arbitrary: faults.temporalNetwork },
    );
  }
  return fc.array(fc.record({ when: trigger, fault: fc.oneof(...all) }), {
    minLength: 1,
    maxLength: most,
    size: 'max',
  });
}

/** Cases of at most that size. Every value is possible: numbers that are too large are taken modulo what there is. */
export function cases(limits: Limits): fc.Arbitrary<Case> {
  const drawnDatabase = fc.record({
    migrations: fc.array(migration, { minLength: 1, maxLength: limits.migrations, size: 'max' }),
    shuffled: fc.boolean(),
  });
  const workers = limits.processes
    ? fc.oneof(
        { weight: 3, arbitrary: fc.constant('inside' as const) },
        { weight: 1, arbitrary: fc.constant('processes' as const) },
      )
    : fc.constant('inside' as const);
  return workers.chain((which) =>
    fc
      .record({
        direction: fc.oneof(
          { weight: 2, arbitrary: fc.constant('down' as const) },
          { weight: 1, arbitrary: fc.constant('up' as const) },
        ),
        drawn: fc.array(drawnDatabase, { minLength: 1, maxLength: limits.databases, size: 'max' }),
        releases: fc.integer({ min: 2, max: 5 }),
        upper: fc.nat(3),
        lower: fc.nat(3),
        ahead: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(3) }),
        consent: fc.constantFrom('input' as const, 'update' as const),
        faults: faultsWith(which, limits.faults),
      })
      .map(({ drawn, upper, lower, direction, releases, ...rest }): Case => {
        // Counted from the outside, so that a case that shrinks keeps the longest way.
        const above = releases - 1 - (upper % (releases - 1));
        const below = lower % above;
        const [start, target] = direction === 'down' ? [above, below] : [below, above];
        const databases = drawn.map(({ migrations, shuffled }, at) =>
          databaseOf(NAMES[at] as string, migrations, shuffled, releases),
        );
        return { ...rest, direction, releases, start, target, databases, workers: which };
      }),
  );
}

/** Ids need not grow with the graph: people merge branches. */
const idOf = (position: number, shuffled: boolean) => (shuffled ? 100 + ((position * 37) % 101) : 100 + position);

function databaseOf(name: string, drawn: readonly Drawn[], shuffled: boolean, releases: number): Database {
  const root: Migration = {
    id: idOf(0, shuffled),
    parents: [],
    kind: 'atomic',
    release: 0,
    segments: 1,
    sleepMs: 0,
    variant: 0,
  };
  const migrations: Migration[] = [root];
  for (const [at, each] of drawn.entries()) {
    const before = migrations.slice(-6).toReversed(); // branches, not stars
    const parents = [...new Set(each.parents.map((number) => before[number % before.length] as Migration))];
    migrations.push({
      ...each,
      id: idOf(at + 1, shuffled),
      parents: parents.map(({ id }) => id),
      release: Math.max(...parents.map(({ release }) => release), releases - 1 - (each.release % releases)),
    });
  }
  return { name, migrations };
}
