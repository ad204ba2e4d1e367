import path from 'node:path';
import { Context } from '@temporalio/activity';
import type { Logger } from 'pino';
import { hookKindsOf } from '../config/hooks.js';
import type { Config } from '../config/schema.js';
import type { Activities } from '../contract/activities.js';
import type { Outlets } from '../contract/notices.js';
import { createInstances } from '../instance/instances.js';
import { createAskPollers } from './ask-pollers.js';
import { createApplyMigration } from './apply-migration.js';
import { createAwaitWriters } from './await-writers.js';
import { createAnswerHook, createCallHook } from './call-hook.js';
import { createCheckDirty } from './check-dirty.js';
import { createClaim, createYieldClaim } from './claim.js';
import { createDataCalls } from './data-calls.js';
import { createVerdicts, type ActivityDeps } from './deps.js';
import { asFailure, withDetails } from './failure.js';
import { beating } from './heartbeat.js';
import { createEndRun, createRecordDecision } from './journal-entries.js';
import { createMakeDataPlan } from './make-data-plan.js';
import { createMakePlan } from './make-plan.js';
import { createNotify } from './notify.js';
import { createWorkerMetrics, type WorkerMetrics } from './metrics.js';
import { createAcceptDirty, createSkipStep } from './overrule.js';
import { createPlanCache } from './plan-cache.js';
import { createReadLeg } from './read-leg.js';
import { createRecordRelease } from './record-release.js';
import { createRunDataMigration } from './run-data-migration.js';
import { createVerifyRelease } from './verify-release.js';

export interface ActivityOptions {
  readonly config: Config;
  readonly log: Logger;
  /** The namespace has our search attributes: workflows may write them. */
  readonly searchAttributes: boolean;
  readonly env?: NodeJS.ProcessEnv;
  /** What the worker counts; left out: nobody asks. */
  readonly metrics?: WorkerMetrics;
}

/** All activities over one set of sessions; `close` ends those. */
export function createActivities({
  config,
  log,
  searchAttributes,
  env,
  metrics = createWorkerMetrics(),
}: ActivityOptions): Activities & { close(): Promise<void> } {
  const instances = createInstances({ config, ...(env === undefined ? {} : { env }) });
  const deps: ActivityDeps = {
    instances,
    plans: createPlanCache(),
    verdicts: createVerdicts(),
    log,
    metrics,
    env: env ?? process.env,
    folder: path.dirname(config.file),
    searchAttributes,
  };
  const named =
    <I, O>(name: string, work: (input: I) => Promise<O>) =>
    async (input: I) => {
      const { attempt } = Context.current().info;
      if (attempt > 1) metrics.retry(instanceIn(input), name);
      try {
        return await work(input);
      } catch (error) {
        const { cancellationSignal, info } = Context.current();
        throw asFailure(error, name, log, cancellationSignal, info.attempt);
      }
    };
  // `claim`, `awaitWriters`, `applyMigration` and those that move data beat by themselves: they have more to tell than what they are.
  const beaten = <I, O>(name: string, doing: string, work: (input: I) => Promise<O>) =>
    named(name, (input: I) => beating(doing, () => work(input)));
  const planning = <I extends { readonly instance: string }, O>(name: string, work: (input: I) => Promise<O>) => {
    const plan = beaten(name, 'planning', work);
    return (input: I) =>
      plan(input).catch((failure: unknown) => {
        throw withDetails(failure, { outlets: outletsOf(deps, input.instance) });
      });
  };
  const calls = createDataCalls(deps);
  // What changes nothing that counts is left alone when nobody waits for it any more: its query may have no answer for minutes.
  const looking = <I, O>(name: string, doing: string, work: (input: I) => Promise<O>) =>
    beaten(name, doing, (input: I) => {
      const answer = work(input);
      answer.catch(() => undefined);
      return Promise.race([answer, Context.current().cancelled]);
    });
  return {
    makePlan: planning('makePlan', createMakePlan(deps)),
    makeDataPlan: planning('makeDataPlan', createMakeDataPlan(deps)),
    claim: named('claim', createClaim(deps)),
    yieldClaim: beaten('yieldClaim', 'giving the claim back', createYieldClaim(deps)),
    readLeg: looking('readLeg', 'reading the journal', createReadLeg(deps)),
    awaitWriters: named('awaitWriters', createAwaitWriters(deps)),
    checkDirty: looking('checkDirty', 'checking', createCheckDirty(deps)),
    applyMigration: named('applyMigration', createApplyMigration(deps)),
    runDataMigration: named('runDataMigration', createRunDataMigration(deps)),
    callHook: named('callHook', createCallHook(deps)),
    answerHook: beaten('answerHook', 'recording an answer', createAnswerHook(deps)),
    notify: named('notify', createNotify(deps)),
    beginDataCalls: named('beginDataCalls', calls.beginDataCalls),
    noteDataCall: named('noteDataCall', calls.noteDataCall),
    noteDataFailure: named('noteDataFailure', calls.noteDataFailure),
    endDataCalls: named('endDataCalls', calls.endDataCalls),
    acceptDirty: beaten('acceptDirty', 'accepting what was found', createAcceptDirty(deps)),
    skipStep: beaten('skipStep', 'taking the step over', createSkipStep(deps)),
    recordRelease: beaten('recordRelease', 'recording the release', createRecordRelease(deps)),
    verifyRelease: looking('verifyRelease', 'verifying the release', createVerifyRelease(deps)),
    recordDecision: beaten('recordDecision', 'recording the decision', createRecordDecision(deps)),
    endRun: beaten('endRun', 'recording the end', createEndRun(deps)),
    askPollers: looking('askPollers', 'asking who polls', createAskPollers()),
    close: () => instances.close(),
  };
}

/** What a plan would have said, had there been one. */
function outletsOf({ instances, searchAttributes }: ActivityDeps, instance: string): Outlets {
  try {
    const { notify } = hookKindsOf(instances.open(instance).config);
    return { searchAttributes, ...(notify === undefined ? {} : { notify }) };
  } catch {
    return { searchAttributes }; // no such instance is what the failure is about
  }
}

/** Every input but one or two names the instance that it is about. */
function instanceIn(input: unknown): string {
  const { instance } = (input ?? {}) as { instance?: unknown }; // as: an object of the contract
  return typeof instance === 'string' ? instance : '';
}
