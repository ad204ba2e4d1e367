import { randomBytes } from 'node:crypto';
import { until } from '../../support/until.js';
import {
  HEARTBEAT_TIMEOUT,
  openSite,
  queryAt,
  type Bench,
  type InstanceDatabases,
  type Site,
  type Station,
  type TemporalAddress,
} from './bench.js';
import {
  drive,
  fingerprintOf,
  leftOn,
  problemsOf,
  recoveredAt,
  startRun,
  type Answer,
  type Course,
  type Question,
} from './cell.js';
import { columns, setTrap, type Column, type Trap } from './points.js';
import { DATABASES, type DatabaseName } from './product.js';

export interface Cell {
  readonly column: Column;
  readonly instance: string;
  readonly databases: InstanceDatabases;
  readonly url: string;
  readonly trap: Trap;
  /** Of migrations that the row's fault applied again: their downs take effect once more. */
  readonly again: number[];
}

export interface RowContext {
  readonly bench: Bench;
  readonly site: Site;
  readonly cells: readonly Cell[];
  /** The worker that stands in all cells at once. */
  readonly first: Station;
  /** Another worker on the same task queue, ready before the fault; only for rows with `rival`. */
  readonly second: Station | null;
  /** Opens the traps, each once another attempt stands there too or the old one is gone; messages pass or are lost. */
  open(how?: 'lose'): Promise<void>;
  /** Opens the traps: the attempt that stands there goes on, for the fault has not ended it. */
  openAtOnce(): Promise<void>;
  /** Only those that stand in the server: messages wait on. */
  openInServer(): Promise<void>;
  /** Now: what comes later is the recovery. */
  mark(): void;
}

/** One fault, on all columns at once: nineteen instances stand at their points when it comes. */
export interface Row {
  readonly name: string;
  /** Brings the fault, and whatever an operator or a supervisor would do about it without being asked. */
  readonly fault: (context: RowContext) => Promise<void>;
  /** A second worker waits for work when the fault comes. */
  readonly rival?: boolean;
  /** Before the runs start: faults that need something prepared. */
  readonly prepare?: (context: { bench: Bench; site: Site; instances: readonly InstanceDatabases[] }) => Promise<void>;
  /** Once the traps are set. */
  readonly beforeTheStart?: (context: RowContext) => void;
  /** While the runs are on their way to their points. */
  readonly onTheWay?: (context: RowContext) => Promise<void>;
  /** Once the runs are over. */
  readonly after?: (context: RowContext) => Promise<void>;
  /** The questions that the design foresees in a cell; by default only the one about an opaque step that died half-way. */
  readonly foresees?: (column: Column, question: Question) => Answer | null;
  /** What an operator does by hand for the answer `bringBack`. */
  readonly bringBack?: (cell: Cell) => Promise<void>;
  /** The row's faults leave the opaque step alone, so nothing has to be asked. */
  readonly spares?: boolean;
  readonly startsAgain?: boolean;
  /** Seconds for the whole row after the fault. */
  readonly within?: number;
}

export interface CellOutcome {
  readonly row: string;
  readonly column: string;
  readonly red: readonly string[];
  readonly questions: readonly Question[];
  readonly starts: number;
  /** From the fault until the journal goes forward again, or the question is asked. Milliseconds. */
  readonly recoveryMs: number | null;
}

const TO_THE_POINTS_MS = 90_000;

export async function runRow(bench: Bench, temporal: TemporalAddress, row: Row): Promise<readonly CellOutcome[]> {
  const tag = randomBytes(3).toString('hex');
  const all = columns();
  const names = [...all.map((_, at) => `c${tag}-${at + 1}`), `c${tag}-undisturbed`];
  const instances = Object.fromEntries(
    await Promise.all(
      names.map(async (name) => [name, await bench.createInstance(name.replaceAll('-', '_'))] as const),
    ),
  );
  const site = await openSite(bench, temporal, instances);
  const traps: Trap[] = [];
  try {
    const first = await site.startStation('first');
    await row.prepare?.({ bench, site, instances: Object.values(instances) });
    // A sequence of a cloned database forgets numbers in a crash before the first checkpoint (its template's page has them logged).
    await queryAt(bench.postgres.superuserUrl, 'checkpoint');
    const undisturbed = await runUndisturbed(bench, site, names.at(-1) as string);
    const cells: Cell[] = [];
    for (const [at, column] of all.entries()) {
      const instance = names[at] as string;
      const databases = instances[instance] as InstanceDatabases;
      const url = bench.url(databases.frontend);
      const trap = await setTrap(column, databases.frontend, url, first.postgres);
      traps.push(trap);
      cells.push({ column, instance, databases, url, trap, again: [] });
    }
    // The one that sleeps is started last: it has to sleep still when the fault comes.
    const isLate = (cell: Cell) => sleeps(cell) && row.onTheWay === undefined;
    const [late, early] = [cells.filter(isLate), cells.filter((cell) => !isLate(cell))];
    let second: Station | null = null;
    // A worker gives up a session whose backend has finished while no answer comes. Before the fault it shall not find out.
    const lookAway = first.postgres.holdAll(({ text }) => text.includes('watch.progress'));
    let marked = Date.now();
    const context: RowContext = {
      bench,
      site,
      cells,
      first,
      get second() {
        return second;
      },
      open: async (how) => void (await Promise.all(cells.map((cell) => openInTime(cell, how)))),
      openAtOnce: async () => void (await Promise.all(cells.map(({ trap }) => trap.open()))),
      openInServer: async () => {
        await Promise.all(cells.filter(({ trap }) => trap.inServer).map((cell) => openInTime(cell)));
      },
      mark() {
        marked = Date.now();
        lookAway();
      },
    };
    row.beforeTheStart?.(context);
    await Promise.all(early.map(({ instance }) => startRun(site, instance)));
    await row.onTheWay?.(context);
    await Promise.all(early.map(atItsPoint));
    await Promise.all(late.map(({ instance }) => startRun(site, instance)));
    await Promise.all(late.map(atItsPoint));
    if (row.rival === true) second = await site.startStation('second');
    await row.fault(context);
    const deadline = marked + (row.within ?? 90) * 1_000;
    const courses = await Promise.all(
      cells.map((cell) =>
        drive(
          site,
          bench,
          cell.instance,
          {
            answer: (question) => answerOf(row, cell.column, question),
            startsAgain: row.startsAgain ?? false,
            bringBack: () => row.bringBack?.(cell) ?? Promise.resolve(),
          },
          deadline,
        ),
      ),
    );
    await row.after?.(context);
    return await Promise.all(
      cells.map((cell, at) => outcomeOf(bench, row, cell, courses[at] as Course, undisturbed, marked)),
    );
  } finally {
    for (const trap of traps) await trap.open('lose');
    await site.close();
    for (const databases of Object.values(instances)) await bench.dropInstance(databases).catch(() => undefined);
  }
}

async function runUndisturbed(bench: Bench, site: Site, instance: string) {
  const databases = site.instances[instance] as InstanceDatabases;
  await startRun(site, instance);
  const course = await drive(site, bench, instance, { answer: () => null, startsAgain: false }, Date.now() + 60_000);
  if (course.red !== null) throw new Error(`The undisturbed run: ${course.red}`);
  const prints = await Promise.all(DATABASES.map(async (name) => [name, await fingerprintOf(bench, databases[name])]));
  return Object.fromEntries(prints) as Record<DatabaseName, Awaited<ReturnType<typeof fingerprintOf>>>;
}

const sleeps = ({ column }: Cell) => column.at.kind === 'asleep';

async function atItsPoint({ column, trap }: Cell): Promise<void> {
  await until(() => trap.isReached(), {
    within: TO_THE_POINTS_MS,
    every: 100,
    describe: `a run that stands at "${column.name}"`,
  });
}

/** A trap in the server opens when an attempt other than the one that was hit stands in it, or nobody does any more. */
async function openInTime({ trap }: Cell, how?: 'lose'): Promise<void> {
  if (trap.inServer) {
    const before = await trap.waiter().catch(() => null);
    await until(async () => (await trap.waiter()) !== before || before === null, {
      within: (HEARTBEAT_TIMEOUT + 3) * 1_000,
      every: 50,
      describe: 'the trap to change hands',
    }).catch(() => undefined); // an orphan that outlives its worker: opened all the same, and it may finish
  }
  await trap.open(how);
}

function answerOf(row: Row, column: Column, question: Question): Answer | null {
  if (column.asks && row.spares !== true && question.failure === 'StepUndecided') return 'settleAndRestart';
  return row.foresees?.(column, question) ?? null;
}

async function outcomeOf(
  bench: Bench,
  row: Row,
  cell: Cell,
  course: Course,
  undisturbed: Awaited<ReturnType<typeof runUndisturbed>>,
  fault: number,
): Promise<CellOutcome> {
  const red: string[] = course.red === null ? [] : [course.red];
  if (course.red === null) {
    red.push(...(await problemsOf(bench, cell.databases, { undisturbed, again: cell.again })));
    let left: readonly string[] = [];
    await until(async () => (left = await leftOn(bench, cell.databases)).length === 0, {
      within: 5_000,
      describe: 'nothing left',
    }).catch(() => red.push(`left on the server: ${left.join(' ')}`));
    if (cell.column.asks && row.spares !== true && course.questions.length === 0) {
      red.push('an opaque step died half-way, and nobody was asked');
    }
  }
  const recovered = await recoveredAt(bench, cell.databases, fault).catch(() => null);
  const moments = [recovered, course.questions[0]?.at].filter((at) => at !== null && at !== undefined && at > fault);
  return {
    row: row.name,
    column: cell.column.name,
    red,
    questions: course.questions,
    starts: course.starts,
    recoveryMs: moments.length === 0 ? null : Math.round(Math.min(...(moments as number[])) - fault),
  };
}
