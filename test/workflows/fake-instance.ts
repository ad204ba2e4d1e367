import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type {
  Activities,
  CheckVerdict,
  DataStepRef,
  LegRef,
  MakePlanInput,
  PlanSummary,
  RecordDecisionInput,
  StepRef,
} from '../../src/contract/activities.js';
import type { AcceptDirtyActivityInput, SkipStepActivityInput } from '../../src/contract/overrule-activities.js';
import type { DataPlace } from '../../src/contract/data-activities.js';
import { createAskPollers } from '../../src/activities/ask-pollers.js';
import type { BlockerPolicy } from '../../src/contract/blockers.js';
import type { ActivityHandler, DatabaseName } from '../../src/contract/catalog.js';
import type { DirtyReason } from '../../src/contract/dirty.js';
import { type FailureType, RETRYABLE } from '../../src/contract/errors.js';
import type { HookAnswer, HookCall } from '../../src/contract/hooks.js';
import type { Notice } from '../../src/contract/notices.js';

export interface FakeLeg {
  readonly release: string;
  /** Migration ids per database, in the order in which they run. */
  readonly steps: Readonly<Record<DatabaseName, readonly string[]>>;
  closed?: boolean;
  /** Ids of data migrations per database, in the order in which they run. */
  readonly data?: Readonly<Record<DatabaseName, readonly string[]>>;
  /** Those of them that an activity of the product's own moves. */
  readonly handlers?: Readonly<Record<string, ActivityHandler>>;
}

export const PLAN = 'a'.repeat(64);
export const OTHER_PLAN = 'b'.repeat(64);

type ActivityName = keyof Activities;
/** Done in place of the activity's own work, which it may still call. */
type Twist = (work: () => Promise<unknown>) => unknown;

/**
 * An instance whose databases are held in memory: activities of the contract's type that keep the promises of the real ones as
 * far as the workflow can see them (tokens, order, once) and note every call.
 */
export class FakeInstance {
  /** `checkDirty frontend 3`, `applyMigration frontend 3 m3`; a step's end as `done frontend 3`. */
  readonly calls: string[] = [];
  readonly done = new Set<string>();
  readonly tokens = new Map<DatabaseName, string>();
  readonly decisions: RecordDecisionInput[] = [];
  /** What operators have passed over, as each database was told. */
  readonly overrulings: (AcceptDirtyActivityInput | SkipStepActivityInput)[] = [];
  readonly timelinesSeen: (number | null)[] = [];
  /** What each step was told about sessions in its way; undefined: what the instance says. */
  readonly policies: (BlockerPolicy | undefined)[] = [];
  /** What each attempt at a data migration was told about its batches. */
  readonly dataOptions: unknown[] = [];
  readonly planned: MakePlanInput[] = [];
  /** What each call of a hook was given. */
  readonly hookCalls: HookCall[] = [];
  readonly notices: Notice[] = [];
  /** By idempotency key, as the journal would know it. */
  readonly hooksAnswered = new Map<string, HookAnswer>();
  timeline = 1;
  /** The check rides behind each commit, as in life; false: every check is an activity of its own, and can be twisted. */
  riding = false;
  /** What the riding check says in place of clean. */
  ridingVerdict: Partial<CheckVerdict> = {};
  ended: string | null = null;
  claims = 0;
  approved = false;
  /** Of handlers that are activities, by the id of the data migration: what the journal would say. */
  readonly positions = new Map<string, DataPlace & { readonly progress: number | null }>();
  stallCalls = 50;
  #twists = new Map<string, Twist[]>();

  readonly legs: readonly FakeLeg[];
  /** What `makePlan` answers differently. */
  readonly summary: Partial<PlanSummary>;

  constructor(legs: readonly FakeLeg[], summary: Partial<PlanSummary> = {}) {
    this.legs = legs;
    this.summary = summary;
  }

  /** The next call whose line begins with `call` does this instead; several are taken in turn. */
  next(call: string, ...twists: Twist[]): this {
    this.#twists.set(call, [...(this.#twists.get(call) ?? []), ...twists]);
    return this;
  }

  count(prefix: string): number {
    return this.calls.filter((call) => call.startsWith(prefix)).length;
  }

  get databases(): DatabaseName[] {
    return [...new Set(this.legs.flatMap((leg) => Object.keys(leg.steps)))];
  }

  stepsOf(leg: number, database: DatabaseName): StepRef[] {
    const before = this.legs.slice(0, leg).reduce((all, { steps }) => all + (steps[database]?.length ?? 0), 0);
    return (this.legs[leg]?.steps[database] ?? []).map((migration, index) => ({
      seq: before + index + 1,
      migration,
      name: `name_of_${migration}`,
      execution: 'atomic' as const,
      done: this.done.has(`${database} ${before + index + 1}`),
    }));
  }

  dataOf(leg: number, database: DatabaseName): DataStepRef[] {
    return (this.legs[leg]?.data?.[database] ?? []).map((id) => ({
      id,
      description: `what ${id} does`,
      act: 'reverse' as const,
      done: this.done.has(`${database} data ${leg} ${id}`),
      ...this.#activityOf(leg, id),
    }));
  }

  /** `pgunwind.batch_done`, as far as a handler can see it. */
  batchDone(token: string, id: string, from: string | null, cursor: string | null, rows: number): void {
    if (![...this.tokens.values()].includes(token)) throw new Error('this call is over');
    const at = this.#position(id);
    if (at.cursor !== from) throw new Error('a batch that begins at this cursor has been done already');
    this.positions.set(id, { ...at, cursor, batches: at.batches + 1, rows: at.rows + rows });
  }

  #position(id: string): DataPlace & { readonly progress: number | null } {
    return this.positions.get(id) ?? { cursor: null, batches: 0, rows: 0, progress: null };
  }

  #activityOf(leg: number, id: string): Pick<DataStepRef, 'activity'> {
    const handler = this.legs[leg]?.handlers?.[id];
    return handler === undefined ? {} : { activity: { taskQueue: handler.taskQueue, type: handler.type } };
  }

  readonly activities: Activities = {
    makePlan: (input) => {
      this.planned.push(input);
      return this.#call('makePlan', input.instance, async () => ({
        plan: PLAN,
        run: input.run,
        resumed: this.done.size > 0,
        product: 'acme',
        direction: input.direction,
        from: 'v9.0.0',
        to: input.to,
        toAliases: [],
        databases: this.databases,
        legs: this.legs.map((leg, index) => ({
          release: leg.release,
          steps: this.#perDatabase((database) => leg.steps[database]?.length ?? 0),
          done: this.#perDatabase((database) => this.stepsOf(index, database).filter(({ done }) => done).length),
          closed: leg.closed ?? false,
          ...(leg.data === undefined
            ? {}
            : {
                data: this.#perDatabase((database) => leg.data?.[database]?.length ?? 0),
                dataDone: this.#perDatabase(
                  (database) => this.dataOf(index, database).filter(({ done }) => done).length,
                ),
              }),
        })),
        destructiveSteps: 0,
        destructiveExamples: [],
        approved: this.approved,
        warnings: [],
        searchAttributes: true,
        memo: true as const,
        options: { stepTimeoutSeconds: 60, heartbeatTimeoutSeconds: 30, maximumAttempts: null },
        ...this.summary,
      }));
    },

    makeDataPlan: (input) =>
      this.#call('makeDataPlan', `${input.id} ${input.direction}`, async () => {
        const [leg] = this.legs;
        if (!leg) throw new Error('no leg');
        const count = (ids: readonly DataStepRef[]) => ({ frontend: ids.length });
        const data = this.dataOf(0, 'frontend');
        return {
          plan: PLAN,
          run: input.run,
          resumed: false,
          product: 'acme',
          direction: input.direction === 'forward' ? ('up' as const) : ('down' as const),
          from: leg.release,
          to: leg.release,
          toAliases: [],
          databases: ['frontend'],
          legs: [
            {
              release: leg.release,
              steps: { frontend: 0 },
              done: { frontend: 0 },
              closed: false,
              data: count(data),
              dataDone: count(data.filter(({ done }) => done)),
            },
          ],
          data: {
            id: input.id,
            direction: input.direction,
            database: 'frontend',
            description: `what ${input.id} does`,
          },
          destructiveSteps: 0,
          destructiveExamples: [],
          approved: false,
          warnings: [],
          searchAttributes: true,
          memo: true as const,
          options: { stepTimeoutSeconds: 60, heartbeatTimeoutSeconds: 30, maximumAttempts: null },
          ...this.summary,
        };
      }),

    claim: (input) =>
      this.#call('claim', input.databases.join(','), async () => {
        this.claims += 1;
        for (const database of input.databases) this.tokens.set(database, `token-${this.claims}-${database}`);
        return { tokens: Object.fromEntries(input.databases.map((name) => [name, this.tokens.get(name) ?? ''])) };
      }),

    yieldClaim: (input) =>
      this.#call('yieldClaim', `${input.databases.join(',')} ${input.why}`, async () => {
        for (const database of input.databases) {
          if (this.tokens.get(database) === input.tokens[database]) this.tokens.delete(database);
        }
      }),

    readLeg: (input) =>
      this.#call('readLeg', String(input.leg), async (): Promise<LegRef> => {
        const leg = this.legs[input.leg];
        if (!leg) throw new Error(`no leg ${input.leg}`);
        return {
          release: leg.release,
          steps: this.#perDatabase((database) => this.stepsOf(input.leg, database)),
          closed: leg.closed ?? false,
          ...(leg.data === undefined
            ? {}
            : { data: this.#perDatabase((database) => this.dataOf(input.leg, database)) }),
        };
      }),

    awaitWriters: (input) => this.#call('awaitWriters', input.release, async () => ({ writers: [] })),

    checkDirty: (input) => {
      this.timelinesSeen.push(input.timeline);
      return this.#call('checkDirty', `${input.database} ${input.nextSeq}`, async () => ({
        clean: true,
        reasons: [],
        warnings: [],
        how: 'quiet' as const,
        timeline: this.timeline,
        tookMs: 0.1,
      }));
    },

    applyMigration: (input) =>
      this.#call('applyMigration', `${input.database} ${input.seq} ${input.migration}`, async () => {
        const { activityId, attempt } = Context.current().info;
        this.policies.push(input.blockers);
        if (input.token !== this.tokens.get(input.database)) throw failure('StaleAttempt', 'a newer claim exists');
        if (activityId !== `${input.database}-${String(input.seq).padStart(4, '0')}-${input.direction}`) {
          throw failure('StepFailed', `unexpected activity id ${activityId}`);
        }
        if (input.seq > 1 && !this.done.has(`${input.database} ${input.seq - 1}`)) {
          throw failure('JournalBehind', `step ${input.seq - 1} is not done`);
        }
        const how = this.done.has(`${input.database} ${input.seq}`) ? ('foundDone' as const) : ('ran' as const);
        this.done.add(`${input.database} ${input.seq}`);
        this.calls.push(`done ${input.database} ${input.seq}`);
        const { timeline } = this;
        const check = {
          clean: true,
          reasons: [],
          warnings: [],
          how: 'quiet' as const,
          timeline,
          tookMs: 0.1,
          ...this.ridingVerdict,
        };
        return {
          how,
          unit: null,
          tookMs: 1.5,
          attempt,
          notices: 0,
          skippedNotices: 0,
          check: how === 'ran' && this.riding ? check : null,
        };
      }),

    runDataMigration: (input) => {
      this.dataOptions.push(input.options);
      return this.#call('runDataMigration', `${input.database} ${input.leg} ${input.id}`, async () => {
        const { activityId, attempt } = Context.current().info;
        if (input.token !== this.tokens.get(input.database)) throw failure('StaleAttempt', 'a newer claim exists');
        if (activityId !== `${input.database}-data-${input.id}-reverse`) {
          throw failure('DataFailed', `unexpected activity id ${activityId}`);
        }
        for (const { seq } of this.stepsOf(input.leg, input.database)) {
          if (!this.done.has(`${input.database} ${seq}`)) throw failure('JournalBehind', `step ${seq} is not done`);
        }
        const key = `${input.database} data ${input.leg} ${input.id}`;
        const how = this.done.has(key) ? ('foundDone' as const) : ('ran' as const);
        this.done.add(key);
        this.calls.push(`done ${key}`);
        return { how, batches: 3, rows: 30, progress: 0, tookMs: 1.5, attempt };
      });
    },

    callHook: (input) =>
      this.#call('callHook', `${input.hook} ${input.release}`, async () => {
        this.hookCalls.push(input);
        const known = this.hooksAnswered.get(input.idempotencyKey);
        if (known !== undefined) return { answer: known, how: 'found' as const };
        this.hooksAnswered.set(input.idempotencyKey, 'done');
        return { answer: 'done' as const, how: 'called' as const };
      }),

    notify: (input) =>
      this.#call('notify', `${input.number} ${input.event}`, async () => {
        this.notices.push(input);
        return { told: true as const };
      }),

    answerHook: (input) =>
      this.#call('answerHook', `${input.call.hook} ${input.answer}`, async () => {
        this.hooksAnswered.set(input.call.idempotencyKey, input.answer);
      }),

    beginDataCalls: (input) =>
      this.#call('beginDataCalls', `${input.database} ${input.leg} ${input.id}`, async () => {
        const { attempt } = Context.current().info;
        if (input.token !== this.tokens.get(input.database)) throw failure('StaleAttempt', 'a newer claim exists');
        const { progress, ...position } = this.#position(input.id);
        if (this.done.has(`${input.database} data ${input.leg} ${input.id}`)) {
          return {
            how: 'foundDone' as const,
            batches: position.batches,
            rows: position.rows,
            progress,
            tookMs: 1,
            attempt,
          };
        }
        const handler = this.legs[input.leg]?.handlers?.[input.id] as ActivityHandler; // as: the test has given it one
        const connection = { kind: 'env' as const, name: 'FRONTEND_URL' };
        const { stallCalls } = this;
        const direction = 'reverse' as const;
        return {
          how: 'begun' as const,
          handler,
          direction,
          connection,
          batchSize: 100,
          stallCalls,
          position,
          progress,
        };
      }),

    noteDataCall: (input) =>
      this.#call('noteDataCall', `${input.database} ${input.leg} ${input.id}`, async () => {
        if (input.token !== this.tokens.get(input.database)) throw failure('StaleAttempt', 'a newer claim exists');
        const at = this.#position(input.id);
        const own = this.legs[input.leg]?.handlers?.[input.id]?.exactlyOnce === true;
        const counted =
          own || at.batches !== input.batchesBefore
            ? at
            : { cursor: input.cursor, batches: at.batches + 1, rows: at.rows + input.rowsDone };
        this.positions.set(input.id, { ...counted, progress: input.progress ?? at.progress });
        const { cursor, batches, rows } = counted;
        return { cursor, batches, rows };
      }),

    noteDataFailure: (input) =>
      this.#call('noteDataFailure', `${input.database} ${input.leg} ${input.id}`, async () => undefined),

    endDataCalls: (input) =>
      this.#call('endDataCalls', `${input.database} ${input.leg} ${input.id}`, async () => {
        if (input.token !== this.tokens.get(input.database)) throw failure('StaleAttempt', 'a newer claim exists');
        const { batches, rows } = this.#position(input.id);
        this.done.add(`${input.database} data ${input.leg} ${input.id}`);
        this.calls.push(`done ${input.database} data ${input.leg} ${input.id}`);
        const { attempt } = Context.current().info;
        return { how: 'ran' as const, batches, rows, progress: input.progress, tookMs: 1.5, attempt };
      }),

    acceptDirty: (input) =>
      this.#call('acceptDirty', `${input.database} ${input.reason.code}`, async () => {
        if (input.token !== this.tokens.get(input.database)) throw failure('StaleAttempt', 'a newer claim exists');
        this.overrulings.push(input);
      }),

    skipStep: (input) =>
      this.#call('skipStep', `${input.database} ${input.seq} ${input.ledger}`, async () => {
        if (input.token !== this.tokens.get(input.database)) throw failure('StaleAttempt', 'a newer claim exists');
        this.overrulings.push(input);
        this.done.add(`${input.database} ${input.seq}`);
      }),

    recordRelease: (input) =>
      this.#call('recordRelease', String(input.leg), async () => {
        const leg = this.legs[input.leg];
        if (!leg) throw new Error(`no leg ${input.leg}`);
        for (const database of this.databases) {
          if (input.tokens[database] !== this.tokens.get(database)) throw failure('StaleAttempt', 'a newer claim');
        }
        for (const database of this.databases) {
          const open = this.dataOf(input.leg, database).find(({ done }) => !done);
          if (open) throw failure('JournalBehind', `data migration ${open.id} is not done`);
        }
        leg.closed = true;
        return { release: leg.release, marker: leg.release, found: 'written' as const };
      }),

    verifyRelease: (input) =>
      this.#call('verifyRelease', `${input.leg}${input.fingerprint ? ' fingerprint' : ''}`, async () => ({
        release: this.legs[input.leg]?.release ?? '',
        reasons: [],
        drift: {},
      })),

    recordDecision: (input) =>
      this.#call('recordDecision', input.kind, async () => {
        this.decisions.push(input);
        if (input.kind === 'approve') this.approved = true;
      }),

    endRun: (input) =>
      this.#call('endRun', input.state, async () => {
        this.ended = input.state;
      }),

    askPollers: (input) => this.#call('askPollers', input.taskQueue, createAskPollers().bind(null, input)),
  };

  async #call<T>(activity: ActivityName, what: string, work: () => Promise<T>): Promise<T> {
    const line = `${activity} ${what}`;
    this.calls.push(line);
    for (const [prefix, twists] of this.#twists) {
      const twist = line.startsWith(prefix) ? twists.shift() : undefined;
      if (twist) return (await twist(work)) as T; // as: a twist answers what its activity answers
    }
    return work();
  }

  #perDatabase<T>(value: (database: DatabaseName) => T): Record<DatabaseName, T> {
    return Object.fromEntries(this.databases.map((database) => [database, value(database)]));
  }
}

/** As the activities map an UnwindError. Without a stack: histories are saved, and a stack names this machine's folders. */
export function failure(type: FailureType, message: string, details: Record<string, unknown> = {}): ApplicationFailure {
  const error = ApplicationFailure.create({ type, message, nonRetryable: !RETRYABLE.has(type), details: [details] });
  error.stack = '';
  return error;
}

export function fails(type: FailureType, message = `${type} as asked for`, details = {}): Twist {
  return () => {
    throw failure(type, message, details);
  };
}

export function dirty(database: DatabaseName): Twist {
  const reason: DirtyReason = {
    code: 'changedByOthers',
    database,
    evidence: 'pg_class has 1 row more than our own transactions explain',
    remedy: 'drop table public.surprise;',
  };
  return () => ({ clean: false, reasons: [reason], warnings: [], how: 'counted', tookMs: 3.4, timeline: 1 });
}

/** Holds an activity until `open()`; `reached` resolves when it is there. */
export class Gate {
  readonly reached: Promise<void>;
  #reach!: () => void;
  readonly #opened: Promise<void>;
  open!: () => void;

  constructor() {
    this.reached = new Promise((resolve) => (this.#reach = resolve));
    this.#opened = new Promise((resolve) => (this.open = resolve));
  }

  readonly twist: Twist = async (work) => {
    this.#reach();
    await this.#opened;
    return work();
  };
}

/** Waits for a cancellation, as the real step does: with heartbeats, and without hiding it. */
export async function untilCancelled(): Promise<never> {
  const context = Context.current();
  const ticker = setInterval(() => context.heartbeat({ doing: 'running' }), 50);
  try {
    return await context.cancelled;
  } finally {
    clearInterval(ticker);
  }
}
