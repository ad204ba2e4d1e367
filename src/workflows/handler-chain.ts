import type { DataCallsBegun, DataOutcome, DataPlace, RunDataMigrationInput } from '../contract/data-activities.js';
import { FailureType } from '../contract/errors.js';
import { type HandlerAnswer, type HandlerCall, readHandlerAnswer } from '../contract/handler.js';
import { createCallFigures } from './call-figures.js';
import { during, settledByHand, Stuck } from './failures.js';
import { bestEffort, isStopping, type Run } from './run.js';
import { callTheirs } from './their-activity.js';

/** As long as a call may take unless its definition says otherwise. */
const CALL_SECONDS = 600;
/** A minute and a half where each fails at once: longer than a failover, or the restart of what the handler needs. */
const ATTEMPTS = 8;
/** A call that came further by its cursor, and moved no progress, counts less: it may have skipped a stretch. */
const SKIPPING = 0.02;

/**
 * Calls the product's own activity until it says that it is done, and the progress says so too. The journal is asked before the first
 * call and told after each, so that whatever dies, the next attempt goes on where it stands.
 * @throws {Stuck} HandlerUnavailable, DataFailed, DataStalled, and what `beginDataCalls` throws.
 */
export async function moveByCalls(
  run: Run,
  place: RunDataMigrationInput,
  label: { readonly activityId: string; readonly summary: string },
): Promise<DataOutcome | 'stopped'> {
  const { proxies, progress } = run;
  const begun = await during('data', () => proxies.beginDataCalls(place));
  if (!isBegun(begun)) return begun;
  const target = begun.direction === 'forward' ? 1 : 0;
  const figures = createCallFigures(begun.position, target, begun.batchSize);
  const show = (at: DataPlace, told: number | null) => {
    progress.figures.set(place.database, figures(at, told, 'moving rows'));
    run.show();
  };
  let { position } = begun;
  let told = begun.progress;
  for (;;) {
    show(position, told);
    if (isStopping(run)) return 'stopped';
    const answer = await call(run, place, label, begun, position).catch((error: unknown) =>
      noted(run, place, begun, error),
    );
    if (answer === 'stopped') return answer;
    const { cursor, rowsDone } = answer;
    const after = await during('data', () =>
      proxies.noteDataCall({ ...place, batchesBefore: position.batches, cursor, rowsDone, progress: answer.progress }),
    );
    expectRecorded(begun, answer, position, after);
    if (answer.done) {
      expectEnd(begun, answer, target);
      progress.unmoved.delete(place.database);
      return during('data', () => proxies.endDataCalls({ ...place, progress: target }));
    }
    noteMoved(run, place, begun, { position, told }, { position: after, told: answer.progress });
    position = after;
    told = answer.progress;
  }
}

async function call(
  run: Run,
  { instance, database, id, token, run: journalRun }: RunDataMigrationInput,
  label: { readonly activityId: string; readonly summary: string },
  { handler, direction, batchSize, connection }: DataCallsBegun,
  { cursor }: DataPlace,
): Promise<HandlerAnswer | 'stopped'> {
  const {
    taskQueue,
    type,
    callTimeoutSeconds = CALL_SECONDS,
    heartbeatSeconds = null,
    maximumAttempts = ATTEMPTS,
  } = handler;
  const input: HandlerCall = {
    instance,
    database,
    migration: id,
    direction,
    cursor,
    batchSize,
    token,
    connection,
    run: journalRun,
  };
  const called = await callTheirs(run, {
    ...label,
    taskQueue,
    type,
    input,
    timeouts: { callSeconds: callTimeoutSeconds, heartbeatSeconds, attempts: maximumAttempts },
    during: 'data',
    failure: FailureType.DataFailed,
    goOn:
      `What its earlier batches have done stays done (pgunwind.data_step of "${database}" has where). Remove the cause, then send the ` +
      'update "retryStep": it goes on there.',
  });
  if (called.kind === 'stopped') return called.kind;
  const answer = readHandlerAnswer(called.answer);
  if ('problems' in answer) {
    throw wrong(handler, `answered what its contract does not know: ${answer.problems.join('; ')}`);
  }
  return answer;
}

/** What fails for good is written down before the run parks. @throws {Stuck} the same again. */
async function noted(
  run: Run,
  place: RunDataMigrationInput,
  { batchSize }: DataCallsBegun,
  error: unknown,
): Promise<never> {
  if (error instanceof Stuck && error.failure === FailureType.DataFailed) {
    const { message } = error;
    await bestEffort(run, `the failure of data migration ${place.id} could not be written to the journal`, () =>
      run.proxies.noteDataFailure({ ...place, batchSize, message }),
    );
  }
  throw error;
}

/** One that says it records its batches must do so: else a repeat after a death would do them again. */
function expectRecorded(
  { handler }: DataCallsBegun,
  { rowsDone }: HandlerAnswer,
  before: DataPlace,
  noted: DataPlace,
): void {
  if (!handler.exactlyOnce || rowsDone === 0 || noted.batches > before.batches) return;
  throw wrong(
    handler,
    `says that it did ${rowsDone} rows, and has recorded no batch: it is defined as "exactlyOnce", and must call pgunwind.batch_done in the ` +
      'transaction of each',
  );
}

function expectEnd({ handler, direction }: DataCallsBegun, { progress }: HandlerAnswer, target: 0 | 1): void {
  if (progress === target || progress === null) return;
  throw wrong(handler, `says that it is done, at a progress of ${progress}; the end of ${direction} is ${target}`);
}

interface Moment {
  readonly position: DataPlace;
  readonly told: number | null;
}

function noteMoved(
  { progress }: Run,
  { database, id }: RunDataMigrationInput,
  { handler, stallCalls }: DataCallsBegun,
  before: Moment,
  after: Moment,
): void {
  const still = before.told === after.told;
  const inPlace = still && before.position.cursor === after.position.cursor;
  const unmoved = still ? (progress.unmoved.get(database) ?? 0) + (inPlace ? 1 : SKIPPING) : 0;
  progress.unmoved.set(database, unmoved);
  if (unmoved < stallCalls) return;
  const { taskQueue, type } = handler;
  throw new Stuck(
    'data',
    FailureType.DataStalled,
    `The data migration ${id} on "${database}" does not move: the activity "${type}" on the task queue "${taskQueue}" was called ` +
      `${Math.round(inPlace ? stallCalls : stallCalls / SKIPPING)} times, and its progress is still ${after.told ?? 'null'}. What its batches have done stays ` +
      'done. Look at what it finds to do, and for writers that make new rows; then send the update "retryStep".',
    { progress: after.told },
  );
}

function wrong({ taskQueue, type }: DataCallsBegun['handler'], what: string): Stuck {
  return new Stuck(
    'data',
    FailureType.DataFailed,
    `The activity "${type}" on the task queue "${taskQueue}" ${what}. What its batches have done stays done. Correct it and restart its ` +
      'worker, then send the update "retryStep".',
    { taskQueue, type },
  );
}

function isBegun(begun: Partial<DataCallsBegun> | DataOutcome | null): begun is DataCallsBegun {
  if (begun?.how === 'begun') return true;
  if (typeof begun?.how !== 'string') throw settledByHand('data', 'completed, with a result that is not one of ours,');
  return false;
}
