import { uuid4, workflowInfo } from '@temporalio/workflow';
import type { CheckVerdict, DataStepRef, Owner, PlanSummary, StepRef } from '../contract/activities.js';
import type { DataBeat, DataOutcome } from '../contract/data-activities.js';
import type { DatabaseName, DataMigrationId } from '../contract/catalog.js';
import type { HaltHook, HookAnswer } from '../contract/hooks.js';
import type { DataInput, UnwindInput } from '../contract/input.js';
import type { DatabaseProgress, Decision, Parked, RunState } from '../contract/messages.js';
import type { RestorePoint } from '../contract/losses.js';
import type { Direction } from '../contract/plan.js';
import type { Outlets } from '../contract/notices.js';
import type { RunOptionsGiven } from '../contract/run-options.js';
import type { Writer } from '../contract/writers.js';
import { NO_PACE, type Pace } from '../plan/time-left.js';
import type { Carried } from './carried.js';

export interface LegProgress {
  readonly release: string;
  readonly steps: Readonly<Record<DatabaseName, number>>;
  done: Record<DatabaseName, number>;
  closed: boolean;
  readonly data?: Readonly<Record<DatabaseName, number>>;
  dataDone?: Record<DatabaseName, number>;
}

export interface Halt {
  /** Of a stop, whether there is a hook or not. */
  readonly hook: HaltHook;
  /** 0-based; null: before the first. */
  readonly leg: number | null;
  /** Where all databases stand; null: between two releases. */
  readonly release: string | null;
}

export interface Notices {
  readonly count: number;
  /** As `keyOfHalt` has it. */
  readonly halt: string | null;
}

export function keyOfHalt({ hook, leg }: Halt): string {
  return leg === null ? hook : `${hook} ${leg}`;
}

/** The run stands still, and nobody has said yet that it may go on. */
export function isHalted({ halt, phase, answered }: Progress): boolean {
  return halt !== null && phase === 'atStop' && answered.get(keyOfHalt(halt)) !== 'done';
}

/** Where one run is: everything that its status, its details and its report are drawn from. Plain data, one per execution. */
export interface Progress {
  readonly direction: Direction;
  readonly input: UnwindInput;
  /** Of the run of one data migration by itself: `input` has then no release to lead to. */
  readonly asked: DataInput | null;
  readonly owner: Owner;
  /** A new uuid, until the journal names an open run that this one goes on with. */
  run: string;
  /** The state but for `needsOperator` and `paused`, which follow from `parked` and `paused`. */
  phase: Exclude<RunState, 'needsOperator' | 'paused'>;
  plan: PlanSummary | null;
  /** Until there is a plan; null: no planning has failed. */
  outlets: Outlets | null;
  legs: readonly LegProgress[];
  /** 0-based; null before the first. */
  leg: number | null;
  /** Legs that are closed and verified. */
  verified: number;
  approved: boolean;
  /** Until the first claim has succeeded: later ones must not take from whoever took over from us. */
  takeOver: boolean;
  aborting: boolean;
  /** An abort that waits for the next release boundary. */
  abortAtBoundary: boolean;
  /** The instance goes back to where this run began, once what runs has ended. */
  turningBack: Decision | null;
  /** In place of the instance's options. */
  options: RunOptionsGiven;
  /** Asked for by an operator, until `resume`. */
  paused: Decision | null;
  /** Sessions of others that the next leg waits for. */
  writers: readonly Writer[];
  /** Where the run stands still: at a stop, or at a hook before the first or behind the last step. */
  halt: Halt | null;
  /** By `keyOf` a halt: what its hook has answered, or an operator with `continue`. */
  readonly answered: Map<string, HookAnswer>;
  /** Events that `hooks.notify` was called for, and the last halt among them. */
  notices: Notices;
  /** Where each database was before anything was destroyed; null: nothing is yet. */
  restorePoints: Readonly<Record<DatabaseName, RestorePoint>> | null;
  /** Nothing but the record of the end is left. */
  ending: boolean;
  /** One chain met an error of ours: the others stop before their next step. */
  broken: boolean;
  readonly tokens: Map<DatabaseName, string>;
  /** By database; '' for the whole instance. */
  readonly parked: Map<string, Parked>;
  /** Keys of `parked` over which an operator's word is being carried out: another one's waits for its end. */
  readonly overruling: Set<string>;
  readonly current: Map<DatabaseName, StepRef>;
  /** When the attempt under way at a step or a data migration began: workflow time in milliseconds. */
  readonly began: Map<DatabaseName, number>;
  /** How fast this run is, by what was expected of its steps. */
  pace: Pace;
  /** The data migrations of the current leg, as the journal has them and this run has carried them out. */
  readonly data: Map<DatabaseName, DataStepRef[]>;
  /** Those that are being carried out. */
  readonly moving: Map<DatabaseName, DataStepRef>;
  /** What calls of the product's own have moved so far, as this run has heard. */
  readonly figures: Map<DatabaseName, DataBeat>;
  /** How far such a data migration is from being taken for stalled, from 0 to the number of calls that it may. */
  readonly unmoved: Map<DatabaseName, number>;
  /** How those that this execution has carried out ended. */
  readonly moved: Map<DataMigrationId, DataOutcome>;
  /** What calls of the product's own activities wait for, by their ids. */
  readonly waiting: Map<string, string>;
  readonly lastCheck: Map<DatabaseName, NonNullable<DatabaseProgress['lastCheck']>>;
  /** Checks that rode behind the last commits, and the workflow time of their arrival. */
  readonly riding: Map<DatabaseName, { readonly verdict: CheckVerdict; readonly nextSeq: number; readonly at: number }>;
  /** The highest timeline seen of each database's server. */
  readonly timelines: Map<DatabaseName, number>;
  readonly decisions: Decision[];
  /** By what they are about, so that a warning of each check is one line and not three hundred. */
  readonly warnings: Map<string, string>;
  readonly drift: Map<DatabaseName, readonly string[]>;
}

/** Warnings travel in every status and in the report; beyond these only their number matters. */
const MOST_WARNINGS = 100;

export function startProgress(
  direction: Direction,
  input: UnwindInput,
  carried: Carried | null,
  asked: DataInput | null = null,
): Progress {
  const { namespace, workflowId, runId } = workflowInfo();
  const progress: Progress = {
    direction,
    input,
    asked,
    owner: { namespace, workflowId, runId },
    run: carried?.run ?? uuid4(),
    phase: 'planning',
    plan: null,
    outlets: null,
    legs: [],
    leg: null,
    verified: 0,
    approved: carried?.approved ?? false,
    takeOver: carried?.takeOver ?? input.takeOver ?? false,
    aborting: false,
    abortAtBoundary: carried?.abortAtBoundary ?? false,
    turningBack: null,
    options: carried?.options ?? {},
    paused: carried?.paused ?? null,
    writers: [],
    halt: null,
    answered: new Map(Object.entries(carried?.answered ?? {})),
    notices: carried?.notices ?? { count: 0, halt: null },
    restorePoints: carried?.restorePoints ?? null,
    ending: false,
    broken: false,
    tokens: new Map(Object.entries(carried?.tokens ?? {})),
    parked: new Map(carried?.parked.map((entry) => [entry.database ?? '', entry])),
    overruling: new Set(),
    current: new Map(),
    began: new Map(),
    pace: carried?.pace ?? NO_PACE,
    data: new Map(),
    moving: new Map(),
    figures: new Map(),
    unmoved: new Map(Object.entries(carried?.unmoved ?? {})),
    moved: new Map(),
    waiting: new Map(),
    lastCheck: new Map(),
    riding: new Map(),
    timelines: new Map(Object.entries(carried?.timelines ?? {})),
    decisions: [...(carried?.decisions ?? [])],
    warnings: new Map(carried?.warnings),
    drift: new Map(Object.entries(carried?.drift ?? {})),
  };
  if (carried) {
    adoptPlan(progress, carried.plan);
    progress.verified = carried.verified;
  }
  return progress;
}

export function adoptPlan(progress: Progress, plan: PlanSummary): void {
  progress.plan = plan;
  progress.run = plan.run;
  progress.phase = 'running';
  progress.legs = plan.legs.map((leg) => ({
    ...leg,
    done: { ...leg.done },
    ...(leg.dataDone === undefined ? {} : { dataDone: { ...leg.dataDone } }),
  }));
  progress.approved ||= plan.approved;
  progress.verified = verifiedBefore(plan);
  plan.warnings.forEach((text) => warn(progress, text, text));
}

/**
 * A run that goes on knows from the journal which legs are closed, not whether the last of them was verified before its
 * predecessor died. Where the instance still stands exactly there, it is verified (again).
 */
function verifiedBefore(plan: PlanSummary): number {
  const open = plan.legs.findIndex((leg) => !leg.closed);
  const closed = open === -1 ? plan.legs.length : open;
  const { done = {}, dataDone = {} } = plan.legs[closed] ?? {};
  const begun = sum(done) + sum(dataDone) > 0;
  return begun ? closed : Math.max(0, closed - 1);
}

export function carriedOf(progress: Progress, plan: PlanSummary): Carried {
  return {
    run: progress.run,
    plan: { ...plan, legs: progress.legs, warnings: [] }, // the warnings go along below
    approved: progress.approved,
    takeOver: progress.takeOver,
    verified: progress.verified,
    tokens: Object.fromEntries(progress.tokens),
    parked: [...progress.parked.values()],
    timelines: Object.fromEntries(progress.timelines),
    ...(progress.paused ? { paused: progress.paused } : {}),
    ...(progress.abortAtBoundary ? { abortAtBoundary: true as const } : {}),
    ...(Object.keys(progress.options).length > 0 ? { options: progress.options } : {}),
    ...(progress.answered.size > 0 ? { answered: Object.fromEntries(progress.answered) } : {}),
    ...(progress.notices.count > 0 ? { notices: progress.notices } : {}),
    ...(progress.restorePoints === null ? {} : { restorePoints: progress.restorePoints }),
    ...(progress.unmoved.size > 0 ? { unmoved: Object.fromEntries(progress.unmoved) } : {}),
    ...(progress.pace.steps > 0 ? { pace: progress.pace } : {}),
    decisions: progress.decisions,
    warnings: [...progress.warnings],
    drift: Object.fromEntries(progress.drift),
  };
}

export function stateOf(progress: Progress): RunState {
  const over = progress.phase === 'completed' || progress.phase === 'aborted' || progress.phase === 'cancelled';
  if (progress.turningBack && progress.phase !== 'cancelled') return 'turningBack';
  if (over) return progress.phase;
  if (progress.parked.size > 0) return 'needsOperator';
  return progress.paused && !progress.aborting ? 'paused' : progress.phase;
}

export function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

/** Schema and data migrations of all databases. */
export function stepsOf(progress: Progress): { readonly done: number; readonly total: number } {
  return {
    done: progress.legs.reduce((total, leg) => total + sum(leg.done) + sum(leg.dataDone ?? {}), 0),
    total: progress.legs.reduce((total, leg) => total + sum(leg.steps) + sum(leg.data ?? {}), 0),
  };
}

export function stepsOfDatabase(
  progress: Progress,
  database: DatabaseName,
): { readonly done: number; readonly total: number } {
  return {
    done: progress.legs.reduce((total, leg) => total + (leg.done[database] ?? 0) + (leg.dataDone?.[database] ?? 0), 0),
    total: progress.legs.reduce((total, leg) => total + (leg.steps[database] ?? 0) + (leg.data?.[database] ?? 0), 0),
  };
}

/** One past the last schema migration of a database: what the last check asks about. */
export function seqAfterAll({ legs }: Progress, database: DatabaseName): number {
  return 1 + legs.reduce((total, leg) => total + (leg.steps[database] ?? 0), 0);
}

export function warn(progress: Progress, about: string, text: string): void {
  if (progress.warnings.has(about) || progress.warnings.size < MOST_WARNINGS) progress.warnings.set(about, text);
}

export function noteCheck(progress: Progress, database: DatabaseName, verdict: CheckVerdict): void {
  progress.lastCheck.set(database, { clean: verdict.clean, how: verdict.how, at: now() });
  const seen = progress.timelines.get(database) ?? 0;
  if (verdict.clean && verdict.timeline > seen) progress.timelines.set(database, verdict.timeline);
  for (const { code, text } of verdict.warnings) warn(progress, `${database} ${code}`, text);
}

/** For activities that else mean all databases of the instance: the run of a data migration is that of one. */
export function ownDatabases({ asked, plan }: Progress): { databases?: readonly DatabaseName[] } {
  return asked === null || plan === null ? {} : { databases: plan.databases };
}

/** ISO 8601, workflow time: constant within a workflow task, the same on replay. */
export function now(): string {
  return new Date().toISOString();
}
