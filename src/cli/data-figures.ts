import type { Client, WorkflowExecutionDescription } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import {
  decodeArrayFromPayloads,
  decodeOptionalFailureToOptionalError,
} from '@temporalio/common/lib/internal-non-workflow/index.js';
import type { DataBeat } from '../contract/data-activities.js';
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
};

export function withFigures(status: StatusReport, figures: FiguresByActivity): ShownStatus {
  const data = status.data.map((each) => ({
    ...each,
    figures: each.running ? joined(each.figures ?? null, figures.get(each.activityId) ?? null) : null,
  }));
  const { hook, ...rest } = status;
  if (hook === undefined) return { ...rest, data };
  const failed = hook.state === 'calling' ? figures.get(hook.activityId)?.failed : undefined;
  return { ...rest, data, hook: failed === undefined ? hook : { ...hook, failed } };
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

/** Asks Temporal for the figures at most once a second, and only while a data migration runs or a hook is called. */
export function createFigures(runs: Pick<Runs, 'figures'>, instance: string, now: () => number = Date.now) {
  let known: FiguresByActivity = new Map();
  let asked = -Infinity;
  return async (status: StatusReport, signal?: AbortSignal): Promise<ShownStatus> => {
    const isTold = status.data.some(({ running }) => running) || status.hook?.state === 'calling';
    if (isTold && now() - asked >= ASK_EVERY_MS) {
      asked = now();
      known = await runs.figures(instance, signal);
    }
    return withFigures(status, known);
  };
}
