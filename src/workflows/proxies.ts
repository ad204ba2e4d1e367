import { type ActivityOptions, proxyActivities } from '@temporalio/workflow';
import type { Activities, RunOptions } from '../contract/activities.js';

/** Until the plan is read, the instance's settings are not known. */
const BEFORE_THE_PLAN: RunOptions = { stepTimeoutSeconds: 3600, heartbeatTimeoutSeconds: 30, maximumAttempts: null };

/** Workflows reach activities through these and nothing else: one proxy per kind of work, each timeout with its reason. */
export function createProxies(options: RunOptions = BEFORE_THE_PLAN) {
  // Failures that a later attempt can cure are retried without an end date: at three in the morning a database that comes back
  // after an hour should find its run waiting. The activities mark all others as non-retryable.
  const retry = {
    initialInterval: '250ms', // of a step whose worker died, this is time in which nothing happens
    backoffCoefficient: 2,
    maximumInterval: '30s',
    ...(options.maximumAttempts === null ? {} : { maximumAttempts: options.maximumAttempts }),
  } as const;
  // The documented default of 1.24, which in truth sends TRY_CANCEL: the workflow must learn how a step really ended.
  const cancellationType = 'WAIT_CANCELLATION_COMPLETED';

  const planning = proxyActivities<Activities>({
    startToCloseTimeout: '2m', // 0.1 s for 405 migrations; the rest is for 300 scripts stored over a slow line
    cancellationType,
    retry,
  });
  const reading = proxyActivities<Activities>({
    startToCloseTimeout: '30s', // one query per database, no lock
    cancellationType,
    retry,
  });
  const claiming = proxyActivities<Activities>({
    startToCloseTimeout: '2m', // ends an earlier session and waits until its backend is gone
    cancellationType,
    retry,
  });
  const stepping = proxyActivities<Activities>({
    startToCloseTimeout: `${options.stepTimeoutSeconds}s`, // the longest honest DDL of this instance
    heartbeatTimeout: `${options.heartbeatTimeoutSeconds}s`, // how soon a dead worker is noticed
    cancellationType,
    // A step that ran out of its time would do so again, holding its locks all the while: a person decides.
    retry: { ...retry, nonRetryableErrorTypes: ['TemporalTimeout:StartToClose'] },
  });
  const releasing = proxyActivities<Activities>({
    startToCloseTimeout: '1m', // one short transaction per database behind its lock
    cancellationType,
    retry,
  });
  const verifying = proxyActivities<Activities>({
    startToCloseTimeout: '5m', // describes every object of every schema for the fingerprint
    cancellationType,
    retry,
  });
  // Gives back what the next claim would take anyway: not worth holding up the end of a run or a parked state.
  const parting = proxyActivities<Activities>({
    startToCloseTimeout: '20s',
    scheduleToCloseTimeout: '1m',
    cancellationType,
    retry,
  });
  return {
    makePlan: planning.makePlan,
    readLeg: reading.readLeg,
    readLegOnParting: parting.readLeg,
    claim: claiming.claim,
    /** Never a local activity: docs/adr/0002. */
    checkDirty: reading.checkDirty,
    /** The only use of `executeWithOptions`, which is marked experimental. */
    applyMigration: (
      label: Pick<ActivityOptions, 'activityId' | 'summary'>,
      ...args: Parameters<Activities['applyMigration']>
    ) => stepping.applyMigration.executeWithOptions(label, args),
    recordRelease: releasing.recordRelease,
    verifyRelease: verifying.verifyRelease,
    recordConsent: releasing.recordDecision,
    recordDecision: parting.recordDecision,
    endRun: releasing.endRun,
    endRunOnParting: parting.endRun,
    yieldClaim: parting.yieldClaim,
  };
}

export type Proxies = ReturnType<typeof createProxies>;
