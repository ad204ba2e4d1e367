import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import {
  decodeArrayFromPayloads,
  decodeOptionalFailureToOptionalError,
} from '@temporalio/common/lib/internal-non-workflow/index.js';
import type { DataBeat } from '../contract/data-activities.js';
import { stepActivityId } from '../contract/ids.js';
import type { DataProgress, HookProgress, StatusReport } from '../contract/messages.js';
import type { Runs } from './runs.js';

/** What a data migration under way tells of itself; before its first batch only what it is `doing`. */
export type DataFigures = Pick<DataBeat, 'doing'> &
  Partial<DataBeat> & {
    /** What the attempt before has ended with. */
    readonly failed?: string;
    /** Of a step: how long it has been at work. */
    readonly seconds?: number;
  };

/** What it does most of the time: where there are figures, they say that. */
export const MOVING = 'moving rows';
export const ABOUT_TO_BEGIN = 'about to begin';

/** By the id of the pending activity. */
export type FiguresByActivity = ReadonlyMap<string, DataFigures>;

export interface ShownData extends DataProgress {
  /** Null: nobody tells any yet. Left out: nobody was asked. */
  readonly figures?: DataFigures | null;
}

/** A status as it is shown: the run's own answer, and the figures that only its activities know. */
export type ShownStatus = Omit<StatusReport, 'data' | 'hook'> & {
  readonly data: readonly ShownData[];
  readonly hook?: HookProgress & { readonly failed?: string };
  /** By database: what its step waits for, or what the attempt before has met. Left out where nothing holds any up. */
  readonly held?: Readonly<Record<string, string>>;
};

export function withFigures(status: StatusReport, figures: FiguresByActivity): ShownStatus {
  const held = heldIn(status, figures);
  return { ...withFiguresOfWork(status, figures), ...(Object.keys(held).length === 0 ? {} : { held }) };
}

function withFiguresOfWork(status: StatusReport, figures: FiguresByActivity): ShownStatus {
  const data = status.data.map((each) => ({
    ...each,
    figures: each.running ? joined(each.figures ?? null, figures.get(each.activityId) ?? null) : null,
  }));
  const { hook, ...rest } = status;
  if (hook === undefined) return { ...rest, data };
  const failed = hook.state === 'calling' ? figures.get(hook.activityId)?.failed : undefined;
  return { ...rest, data, hook: failed === undefined ? hook : { ...hook, failed } };
}

function heldIn({ databases, parked, direction }: StatusReport, figures: FiguresByActivity): Record<string, string> {
  const reasons = Object.entries(databases).map(([name, { current }]) => {
    const isAtWork = current !== null && !parked.some(({ database }) => database === name);
    const reason = isAtWork ? reasonOf(figures.get(stepActivityId(name, current.seq, direction))) : '';
    return [name, reason.replace(/\p{Cc}+/gu, ' ')] as const;
  });
  return Object.fromEntries(reasons.filter(([, reason]) => reason !== ''));
}

/** What a step says while it simply runs: nothing that it waits for. */
const RUNNING: ReadonlySet<string> = new Set(['', 'running', 'reading the journal', ABOUT_TO_BEGIN]);

/** Between two attempts what the last one met says more than that the next one is waited for: it names who is in the way. */
export function reasonOf(told: { readonly doing: string; readonly failed?: string } | undefined): string {
  if (told === undefined || RUNNING.has(told.doing)) return '';
  if (told.failed === undefined) return told.doing;
  return `${told.doing.replace(/ waits for its turn.*$/, ' soon')}: ${told.failed}`;
}

/** Of calls of the product's own the run knows the figures, and the call under way at most what it is doing, in its own words. */
function joined(ofRun: DataFigures | null, ofActivity: DataFigures | null): DataFigures | null {
  if (ofRun === null || ofActivity === null) return ofRun ?? ofActivity;
  if (ofRun.doing !== MOVING || ofActivity.doing === ABOUT_TO_BEGIN) return ofRun;
  return { ...ofRun, doing: ofActivity.doing.replace(/\p{C}+/gu, ' ').trim() };
}

type Pending = NonNullable<WorkflowExecutionDescription['raw']['pendingActivities']>[number];
type Converter = Client['options']['loadedDataConverter'];

export async function figuresIn(
  { raw }: WorkflowExecutionDescription,
  converter: Converter,
): Promise<FiguresByActivity> {
  const pending = raw.pendingActivities ?? [];
  return new Map(
    await Promise.all(pending.map(async (each) => [each.activityId ?? '', await figuresOf(each, converter)] as const)),
  );
}

const SCHEDULED = 1; // PENDING_ACTIVITY_STATE_SCHEDULED

/** A beat of the attempt before outlives it, so that the counts do not fall back to nothing while the next one is waited for. */
async function figuresOf(activity: Pending, converter: Converter): Promise<DataFigures> {
  const [beat] = await decodeArrayFromPayloads(converter, activity.heartbeatDetails?.payloads ?? null);
  const told = isFigures(beat) ? beat : { doing: ABOUT_TO_BEGIN };
  if (activity.state !== SCHEDULED) return told;
  const last = await decodeOptionalFailureToOptionalError(converter, activity.lastFailure);
  const failure = (last instanceof ApplicationFailure ? last.type : null) ?? last?.message ?? '';
  const why = failure === '' ? '' : ` (the last one ended: ${failure})`;
  const failed = last?.message ?? '';
  return {
    ...told,
    ...(failed === '' ? {} : { failed }),
    doing: `attempt ${activity.attempt ?? 1} waits for its turn and for a worker${why}`,
  };
}

function isFigures(beat: unknown): beat is DataFigures {
  return typeof beat === 'object' && beat !== null && 'doing' in beat && typeof beat.doing === 'string';
}

const ASK_EVERY_MS = 1_000;

/** Asks Temporal for the figures at most once a second, and only while a step or a data migration runs or a hook is called. */
export function createFigures(runs: Pick<Runs, 'figures'>, instance: string, now: () => number = Date.now) {
  let known: FiguresByActivity = new Map();
  let asked = -Infinity;
  return async (status: StatusReport, signal?: AbortSignal): Promise<ShownStatus> => {
    const isTold =
      status.data.some(({ running }) => running) ||
      status.hook?.state === 'calling' ||
      Object.values(status.databases).some(({ current }) => current !== null);
    if (isTold && now() - asked >= ASK_EVERY_MS) {
      asked = now();
      known = await runs.figures(instance, signal);
    }
    return withFigures(status, known);
  };
}
