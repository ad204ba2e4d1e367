import { ApplicationFailure } from '@temporalio/workflow';
import { z } from 'zod';
import { FailureType } from '../contract/errors.js';
import { UpdateName } from '../contract/messages.js';
import { runOptionsSchema } from '../contract/run-options.js';
import { isHalted, type Progress, stateOf } from './progress.js';

export const who = { by: z.string().max(200).optional(), why: z.string().max(2000).optional() };
const approveSchema = z.strictObject({ plan: z.string(), ...who });
const retryStepSchema = z.strictObject({ database: z.string().optional(), ...who });
const abortSchema = z.strictObject({ at: z.enum(['now', 'boundary']).optional(), ...who });
const setOptionsSchema = runOptionsSchema.extend(who);
const whoSchema = z.strictObject(who);
const continueSchema = z.strictObject({ release: z.string().optional(), ...who });

const WHO_EXAMPLE = '{} or {"by":"<who>","why":"<reason>"}';

// Validators are synchronous, because the SDK never awaits their answer; what they throw is all that the sender sees.

export function refuseApprove(progress: Progress, input: unknown): void {
  const { plan } = progress;
  const state = stateOf(progress);
  if (!plan || progress.phase !== 'awaitingApproval' || progress.aborting) {
    refuse(
      `Nothing waits for approval: the run is in the state "${state}"${progress.aborting ? ' and ends' : ''}.${lastWord(progress)}`,
    );
  }
  const example = `{"plan":"${plan.plan}"}`;
  const given = parse(approveSchema, input ?? {}, UpdateName.approve, example);
  if (given.plan !== plan.plan) {
    refuse(
      `This run waits for consent to the plan ${plan.plan}, not to "${given.plan}". Nothing was approved. ` +
        `Look at what it destroys, then send "${UpdateName.approve}" with ${example}.`,
    );
  }
}

export function refuseRetryStep(progress: Progress, input: unknown): void {
  const { database } = parse(retryStepSchema, input ?? {}, UpdateName.retryStep, '{} or {"database":"<name>"}');
  const parked = [...progress.parked.keys()].toSorted();
  if (parked.length === 0) {
    refuse(
      `Nothing is parked, so there is nothing to retry: the run is in the state "${stateOf(progress)}".${lastWord(progress)}`,
    );
  }
  const named = parked.filter((name) => name !== '').map((name) => `{"database":"${name}"}`);
  if (database === undefined && parked.length > 1) {
    refuse(`Several databases are parked. Say which one goes on: ${named.join(' or ')}.`);
  }
  if (database !== undefined && !progress.parked.has(database)) {
    refuse(
      named.length === 0
        ? `"${database}" is not parked: the whole instance is. Send "${UpdateName.retryStep}" without a database.`
        : `"${database}" is not parked. Parked: ${named.join(', ')}.`,
    );
  }
  refuseWhileOverruling(progress, database ?? parked[0] ?? '');
}

/** Of two operators at once, the second must see what became of the first one's word. */
export function refuseWhileOverruling({ overruling }: Progress, key: string): void {
  if (!overruling.has(key)) return;
  refuse(
    `"${UpdateName.acceptDirty}" or "${UpdateName.skipStep}" of another operator is being carried out there. Nothing was done. Look again in a moment.`,
  );
}

export function refuseAbort(progress: Progress, input: unknown): void {
  const { at } = parse(abortSchema, input ?? {}, UpdateName.abort, '{} or {"at":"boundary"}');
  const { asked } = progress;
  if (at === 'boundary' && asked !== undefined && asked !== null) {
    refuse(
      'This run moves one data migration and reaches no other release. Nothing was done. Send "abort" without "at".',
    );
  }
  const over = progress.phase === 'completed' || progress.phase === 'aborted' || progress.phase === 'cancelled';
  if (over || (progress.ending && progress.parked.size === 0)) refuse('The run has already ended.');
  if (progress.aborting) refuseWhileEnding(progress);
  if (at === 'boundary' && progress.abortAtBoundary) {
    refuse(
      'The run ends at the next release boundary already. "abort" without "at" ends it sooner, between two releases perhaps.',
    );
  }
}

export function refuseTurnBack(progress: Progress, input: unknown): void {
  parse(whoSchema, input ?? {}, UpdateName.turnBack, WHO_EXAMPLE);
  refuseWhenOver(progress);
  const { plan, asked } = progress;
  if (asked !== undefined && asked !== null) {
    refuse('This run moves one data migration: abort it, and run that in the other direction. Nothing was done.');
  }
  if (!plan) refuse('There is no plan yet, and nothing was changed: send "abort" instead.');
  if (plan.from === null) {
    refuse(
      'This run began between two releases, so there is no release to go back to. Nothing was done. Send "abort", then start a run to the ' +
        'release that you want.',
    );
  }
}

export function refuseSetOptions(progress: Progress, input: unknown): void {
  const example = '{"blockers":"terminateIdle"} or {"data":{"mostBatchRows":1000}}';
  const { by: _by, why: _why, ...given } = parse(setOptionsSchema, input ?? {}, UpdateName.setOptions, example);
  refuseWhenOver(progress);
  if (Object.keys(given).length > 0) return;
  refuse(
    `"${UpdateName.setOptions}" takes ${example}, optionally with "by" and "why": it was given no option. Nothing was done.`,
  );
}

export function refusePause(progress: Progress, input: unknown): void {
  parse(whoSchema, input ?? {}, UpdateName.pause, WHO_EXAMPLE);
  refuseWhenOver(progress);
  if (progress.paused)
    refuse(`The run is paused already, since ${progress.paused.at}. "resume" goes on.${lastWord(progress)}`);
}

export function refuseResume(progress: Progress, input: unknown): void {
  parse(whoSchema, input ?? {}, UpdateName.resume, WHO_EXAMPLE);
  refuseWhenOver(progress);
  if (!progress.paused)
    refuse(`The run is not paused: it is in the state "${stateOf(progress)}".${lastWord(progress)}`);
}

export function refuseContinue(progress: Progress, input: unknown): void {
  const { release } = parse(continueSchema, input ?? {}, UpdateName.continue, '{} or {"release":"<label>"}');
  refuseWhenOver(progress);
  const { halt } = progress;
  if (!halt || !isHalted(progress)) {
    refuse(`The run does not wait at a release: it is in the state "${stateOf(progress)}".${lastWord(progress)}`);
  }
  if (release !== undefined && release !== halt.release) {
    refuse(
      `The run waits ${halt.release === null ? 'between two releases' : `at ${halt.release}`}, not at "${release}". Nothing was done.`,
    );
  }
}

export function refuseWhenOver(progress: Progress): void {
  const over = progress.phase === 'completed' || progress.phase === 'aborted' || progress.phase === 'cancelled';
  if (over) refuse('The run has already ended.');
  if (progress.aborting) refuseWhileEnding(progress);
  if (!progress.ending) return;
  if (progress.parked.size === 0) refuse('The run has already ended.');
  refuse(
    `All steps of this run are done, and only its end could not be recorded. Nothing was done. Send "${UpdateName.retryStep}" to record it, or ` +
      `"${UpdateName.abort}" to end without; then start another run.`,
  );
}

function refuseWhileEnding(progress: Progress): never {
  const { plan, turningBack } = progress;
  refuse(
    turningBack
      ? `The run is being turned back to ${plan?.from ?? 'where it began'}; that begins when the running steps have ended, under the same ` +
          `id. Send what you want of it then.${lastWord(progress)}`
      : `The run is being aborted; it ends when the running steps have ended.${lastWord(progress)}`,
  );
}

/** Of two operators who decide at once, the one whose word came second must see whose came first. */
function lastWord({ decisions }: Progress): string {
  const last = decisions.at(-1);
  if (last === undefined) return '';
  const who = last.by === null ? '' : ` of ${last.by}`;
  return ` The last decision: "${last.kind}"${who} at ${last.at}${last.why === null ? '' : ` (${last.why})`}.`;
}

export function parse<T>(
  schema: z.ZodType<T>,
  input: unknown,
  update: string,
  example: string,
  optionally = '"by" and "why"',
): T {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) =>
    issue.path.length > 0 ? `"${issue.path.join('.')}": ${issue.message}` : issue.message,
  );
  return refuse(
    `"${update}" takes ${example}, optionally with ${optionally}: ${problems.join('; ')}. Nothing was done.`,
  );
}

export function refuse(message: string, type: string = FailureType.InvalidInput): never {
  throw ApplicationFailure.create({ type, message, nonRetryable: true });
}
