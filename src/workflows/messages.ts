import { ApplicationFailure, defineQuery, defineUpdate, isCancellation, setHandler } from '@temporalio/workflow';
import { z } from 'zod';
import { FailureType } from '../contract/errors.js';
import {
  type AbortInput,
  type ApproveInput,
  type Decision,
  QueryName,
  type RetryStepInput,
  type StatusReport,
  UpdateName,
} from '../contract/messages.js';
import { recordConsent, recordDecision } from './decisions.js';
import { during, Stuck } from './failures.js';
import { now, type Progress, stateOf } from './progress.js';
import type { Run } from './run.js';
import { statusOf } from './status.js';

export const statusQuery = defineQuery<StatusReport>(QueryName.status);
// The argument may be missing: the Web UI and the command line send none unless told to.
export const approveUpdate = defineUpdate<StatusReport, [ApproveInput | undefined]>(UpdateName.approve);
export const retryStepUpdate = defineUpdate<StatusReport, [RetryStepInput | undefined]>(UpdateName.retryStep);
export const abortUpdate = defineUpdate<StatusReport, [AbortInput | undefined]>(UpdateName.abort);

const who = { by: z.string().max(200).optional(), why: z.string().max(2000).optional() };
const approveSchema = z.strictObject({ plan: z.string(), ...who });
const retryStepSchema = z.strictObject({ database: z.string().optional(), ...who });
const abortSchema = z.strictObject(who);

/** Before anything is awaited: an update may come with the very first task. */
export function acceptMessages(run: Run): void {
  const { progress } = run;
  const decide = (kind: string, input: { by?: string; why?: string } | null | undefined): Decision => {
    return { kind, by: input?.by ?? null, why: input?.why ?? null, at: now() };
  };

  setHandler(statusQuery, () => statusOf(progress), { description: 'Where the run is and what it waits for.' });

  setHandler(
    approveUpdate,
    async (input) => {
      const { plan } = progress;
      if (!plan) refuse('There is no plan any more.'); // the validator saw one
      try {
        await during('plan', () => recordConsent(run, plan, decide(UpdateName.approve, input), 'update'));
      } catch (error) {
        if (isCancellation(error) || !(error instanceof Stuck)) throw error;
        refuse(
          `The consent could not be written to the journal, so it does not count: ${error.message}`,
          error.failure,
        );
      }
      run.show();
      return statusOf(progress);
    },
    {
      description: 'Consent to what the plan destroys: {"plan":"<its id>"}, optionally "by" and "why".',
      validator: (input) => refuseApprove(progress, input),
    },
  );

  setHandler(
    retryStepUpdate,
    async (input) => {
      const database = input?.database ?? [...progress.parked.keys()][0] ?? '';
      progress.parked.delete(database);
      run.show();
      await recordDecision(run, decide(UpdateName.retryStep, input), database === '' ? {} : { database });
      return statusOf(progress);
    },
    {
      description: 'Go on where the run is parked, beginning with the check: {"database":"<name>"} where several are.',
      validator: (input) => refuseRetryStep(progress, input),
    },
  );

  setHandler(
    abortUpdate,
    async (input) => {
      progress.aborting = true;
      progress.parked.clear();
      run.interruptible.forEach((scope) => scope.cancel());
      run.show();
      await recordDecision(run, decide(UpdateName.abort, input), {});
      return statusOf(progress);
    },
    {
      description: 'End the run where it stands, when the running steps have ended. Nothing is undone.',
      validator: (input) => refuseAbort(progress, input),
    },
  );
}

// Validators are synchronous, because the SDK never awaits their answer; what they throw is all that the sender sees.

function refuseApprove(progress: Progress, input: unknown): void {
  const { plan } = progress;
  const state = stateOf(progress);
  if (!plan || state !== 'awaitingApproval' || progress.aborting) {
    refuse(`Nothing waits for approval: the run is in the state "${state}"${progress.aborting ? ' and ends' : ''}.`);
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

function refuseRetryStep(progress: Progress, input: unknown): void {
  const { database } = parse(retryStepSchema, input ?? {}, UpdateName.retryStep, '{} or {"database":"<name>"}');
  const parked = [...progress.parked.keys()].toSorted();
  if (parked.length === 0) {
    refuse(`Nothing is parked, so there is nothing to retry: the run is in the state "${stateOf(progress)}".`);
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
}

function refuseAbort(progress: Progress, input: unknown): void {
  parse(abortSchema, input ?? {}, UpdateName.abort, '{} or {"by":"<who>","why":"<reason>"}');
  const over = progress.phase === 'completed' || progress.phase === 'aborted' || progress.phase === 'cancelled';
  if (over || (progress.ending && progress.parked.size === 0)) refuse('The run has already ended.');
  if (progress.aborting) refuse('The run is already being aborted; it ends when the running steps have ended.');
}

function parse<T>(schema: z.ZodType<T>, input: unknown, update: string, example: string): T {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) =>
    issue.path.length > 0 ? `"${issue.path.join('.')}": ${issue.message}` : issue.message,
  );
  return refuse(
    `"${update}" takes ${example}, optionally with "by" and "why": ${problems.join('; ')}. Nothing was done.`,
  );
}

function refuse(message: string, type: string = FailureType.InvalidInput): never {
  throw ApplicationFailure.create({ type, message, nonRetryable: true });
}
