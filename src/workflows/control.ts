import { defineUpdate, makeContinueAsNewFunc, setHandler, workflowInfo } from '@temporalio/workflow';
import type { UnwindInput } from '../contract/input.js';
import {
  type AbortInput,
  type SetOptionsInput,
  type StatusReport,
  type TurnBackInput,
  UpdateName,
} from '../contract/messages.js';
import { WorkflowType } from '../contract/ids.js';
import { decide, recordDecision } from './decisions.js';
import { isHalted, sum } from './progress.js';
import { createProxies } from './proxies.js';
import { refuseAbort, refuseSetOptions, refuseTurnBack } from './refusals.js';
import type { Run } from './run.js';
import { statusOf } from './status.js';

export const abortUpdate = defineUpdate<StatusReport, [AbortInput | undefined]>(UpdateName.abort);
export const turnBackUpdate = defineUpdate<StatusReport, [TurnBackInput | undefined]>(UpdateName.turnBack);
export const setOptionsUpdate = defineUpdate<StatusReport, [SetOptionsInput | undefined]>(UpdateName.setOptions);

/** The updates that end a run, turn it, or change how it goes on. */
export function acceptControl(run: Run): void {
  const { progress } = run;

  setHandler(
    abortUpdate,
    async (input) => {
      const at = input?.at ?? 'now';
      if (at === 'boundary' && !standsAtBoundary(run)) progress.abortAtBoundary = true;
      else stop(run);
      run.show();
      await recordDecision(run, decide(UpdateName.abort, input), at === 'boundary' ? { at } : {});
      return statusOf(progress);
    },
    {
      description:
        'End the run where it stands, when the running steps have ended; with {"at":"boundary"} at the next release. Nothing is undone.',
      validator: (input) => refuseAbort(progress, input),
    },
  );

  setHandler(
    turnBackUpdate,
    async (input) => {
      const decision = decide(UpdateName.turnBack, input);
      progress.turningBack = decision;
      stop(run);
      run.show();
      await recordDecision(run, decision, { to: progress.plan?.from ?? null });
      return statusOf(progress);
    },
    {
      description:
        'Go back to the release where the run began, as a run in the other direction under the same id. What was destroyed stays lost.',
      validator: (input) => refuseTurnBack(progress, input),
    },
  );

  setHandler(
    setOptionsUpdate,
    async (input) => {
      const { by: _by, why: _why, ...given } = input ?? {};
      const { options } = progress;
      progress.options = {
        ...options,
        ...given,
        ...(given.data === undefined ? {} : { data: { ...options.data, ...given.data } }),
      };
      run.proxies = createProxies(progress);
      // Begins again at its cursor, with the new ones; a script that runs keeps those that it began with.
      run.movable.forEach((scope) => scope.cancel());
      run.show();
      await recordDecision(run, decide(UpdateName.setOptions, input), { options: given });
      return statusOf(progress);
    },
    {
      description:
        'Change options for the rest of this run: {"stepTimeoutSeconds", "heartbeatTimeoutSeconds", "maximumAttempts", "blockers", "data":{…}}.',
      validator: (input) => refuseSetOptions(progress, input),
    },
  );
}

function stop({ progress, interruptible }: Run): void {
  progress.aborting = true;
  progress.parked.clear();
  interruptible.forEach((scope) => scope.cancel());
}

/** No leg is under way: an end at the boundary is one now. */
function standsAtBoundary({ progress }: Run): boolean {
  const { leg, legs, verified, phase } = progress;
  // A run that goes on from the journal may stand within a leg before it has taken it up.
  if (legs.some(({ closed, done, dataDone = {} }) => !closed && sum(done) + sum(dataDone) > 0)) return false;
  const isBetween = leg !== null && leg < verified && verified < legs.length;
  return leg === null || isBetween || isHalted(progress) || phase === 'waiting';
}

/**
 * The run has ended as one that was aborted: under the same id another one goes the other way, planned from where the databases stand.
 */
export async function turnBack({ progress }: Run): Promise<never> {
  const { input, plan, turningBack, options } = progress;
  const blockers = options.blockers ?? input.blockers;
  const by = turningBack?.by || input.by; // a start takes no empty name, an update does
  const workflowType = progress.direction === 'down' ? WorkflowType.upgrade : WorkflowType.downgrade;
  const { memo = {} } = workflowInfo();
  const goBack = makeContinueAsNewFunc<(input: UnwindInput) => Promise<unknown>>({ workflowType, memo });
  return goBack({
    instance: input.instance,
    to: plan?.from ?? input.to, // the validator saw one
    turnsBack: progress.run,
    ...(by === undefined ? {} : { by }),
    ...(blockers === undefined ? {} : { blockers }),
  });
}
