import { type ActivityOptions, proxyActivities } from '@temporalio/workflow';
import type { Activities, RunOptions } from '../contract/activities.js';
import { cutSummary } from '../contract/ids.js';
import type { Progress } from './progress.js';
import { createSummaries } from './summaries.js';

/** Until the plan is read, the instance's settings are not known: these are the defaults of `config/schema.ts`. */
const BEFORE_THE_PLAN: RunOptions = { stepTimeoutSeconds: 21_600, heartbeatTimeoutSeconds: 10, maximumAttempts: null };

/**
 * Workflows reach activities through these and nothing else: one proxy per kind of work, each timeout with its reason. None of
 * these numbers is a command: they may change while runs live.
 */
export function createProxies(progress: Progress) {
  const { options: given, plan } = progress;
  const planned = plan?.options ?? BEFORE_THE_PLAN;
  const { stepTimeoutSeconds = planned.stepTimeoutSeconds, heartbeatTimeoutSeconds = planned.heartbeatTimeoutSeconds } =
    given;
  const maximumAttempts = given.maximumAttempts === undefined ? planned.maximumAttempts : given.maximumAttempts;
  // Failures that a later attempt can cure are retried without an end date: at three in the morning a database that comes back
  // after an hour should find its run waiting. The activities mark all others as non-retryable, so those are tried once.
  const retry = {
    initialInterval: '250ms', // of a step whose worker died, this is time in which nothing happens
    backoffCoefficient: 2,
    maximumInterval: '30s', // a database that is away for an hour is asked 120 times, not ten thousand
    ...(maximumAttempts === null ? {} : { maximumAttempts }),
  } as const;
  const shared = {
    // How soon a dead worker is noticed, whatever it was doing; activities/heartbeat.ts beats for all. Without it the time is
    // startToClose: five minutes for a worker that died while it verified.
    heartbeatTimeout: `${heartbeatTimeoutSeconds}s`,
    // The documented default of 1.24, which in truth sends TRY_CANCEL: the workflow must learn how a step really ended.
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
    retry,
  } as const;

  const planning = proxyActivities<Activities>({
    ...shared,
    startToCloseTimeout: '2m', // 0.1 s for 405 migrations; the rest is for 300 scripts stored over a slow line
  });
  const reading = proxyActivities<Activities>({
    ...shared,
    startToCloseTimeout: '30s', // one query per database, no lock
    // Costs the server next to nothing, and stands between a database that is back and its next step.
    retry: { ...retry, maximumInterval: '10s' },
  });
  const claiming = proxyActivities<Activities>({
    ...shared,
    startToCloseTimeout: '2m', // ends an earlier session and waits until its backend is gone
    // A busy lock names its own time of return; the back-off is for a database that is away.
    retry: { ...retry, maximumInterval: '10s' },
  });
  const stepping = proxyActivities<Activities>({
    ...shared,
    startToCloseTimeout: `${stepTimeoutSeconds}s`, // the longest honest DDL of this instance
    // A step that ran out of its time would do so again, holding its locks all the while: a person decides. All else that is
    // retryable was rolled back: it costs the server as much as the first time, so the back-off may grow to the full 30 s.
    retry: { ...retry, nonRetryableErrorTypes: ['TemporalTimeout:StartToClose'] },
  });
  const moving = proxyActivities<Activities>({
    ...shared,
    startToCloseTimeout: '30d', // batch after batch, each durable: what ends it is its end, a stall, or a person; or a wait for the server's other work
    retry,
  });
  const waiting = proxyActivities<Activities>({
    ...shared,
    startToCloseTimeout: '15m', // it returns by itself after ten
    retry: { ...retry, maximumInterval: '10s' },
  });
  const calling = proxyActivities<Activities>({
    ...shared,
    startToCloseTimeout: '30d', // its own limit, which the configuration may change meanwhile, ends it
    // A deployment may take minutes to listen again. How often it is called is said at the hook, not by `maximumAttempts`.
    retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s' },
  });
  const telling = proxyActivities<Activities>({
    ...shared,
    startToCloseTimeout: '1h', // its own limit, as for `calling`
    scheduleToCloseTimeout: '1d', // a parked run may find no worker for hours; after a day the news is old
    retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s' },
  });
  const releasing = proxyActivities<Activities>({
    ...shared,
    startToCloseTimeout: '1m', // one short transaction per database behind its lock
    // Everything else of the instance waits for this boundary, and a repeat that was not needed answers "found done".
    retry: { ...retry, maximumInterval: '10s' },
  });
  const verifying = proxyActivities<Activities>({
    ...shared,
    startToCloseTimeout: '5m', // describes every object of every schema for the fingerprint: not to be repeated each second
    retry: { ...retry, initialInterval: '1s' },
  });
  // Gives back what the next claim would take anyway: not worth holding up the end of a run or a parked state.
  const parting = proxyActivities<Activities>({
    ...shared,
    startToCloseTimeout: '20s',
    scheduleToCloseTimeout: '1m', // the one end date
  });
  // The server answers from memory; whoever waits for a worker must hear within the minute, and goes on waiting where it cannot be asked.
  const asking = proxyActivities<Activities>({
    ...shared,
    startToCloseTimeout: '5s',
    scheduleToCloseTimeout: '15s',
  });
  const says = createSummaries(progress);
  return {
    makePlan: named(planning.makePlan, says.makePlan),
    makeDataPlan: named(planning.makeDataPlan, says.makeDataPlan),
    readLeg: named(reading.readLeg, says.readLeg),
    readLegOnParting: named(parting.readLeg, says.readLeg),
    awaitWriters: named(waiting.awaitWriters, says.awaitWriters),
    claim: named(claiming.claim, says.claim),
    /** Never a local activity: docs/adr/0002. */
    checkDirty: named(reading.checkDirty, says.checkDirty),
    applyMigration: (label: Label, ...args: Parameters<Activities['applyMigration']>) =>
      stepping.applyMigration.executeWithOptions(label, args),
    runDataMigration: (label: Label, ...args: Parameters<Activities['runDataMigration']>) =>
      moving.runDataMigration.executeWithOptions(label, args),
    callHook: (label: Label, ...args: Parameters<Activities['callHook']>) =>
      calling.callHook.executeWithOptions(label, args),
    notify: (label: Label, ...args: Parameters<Activities['notify']>) => telling.notify.executeWithOptions(label, args),
    answerHook: named(parting.answerHook, says.answerHook),
    beginDataCalls: named(moving.beginDataCalls, says.beginDataCalls),
    noteDataCall: named(moving.noteDataCall, says.noteDataCall),
    noteDataFailure: named(parting.noteDataFailure, says.noteDataFailure),
    endDataCalls: named(releasing.endDataCalls, says.endDataCalls),
    /** Short transactions behind the locks, for which somebody waits. */
    acceptDirty: named(releasing.acceptDirty, says.acceptDirty),
    skipStep: named(releasing.skipStep, says.skipStep),
    recordRelease: named(releasing.recordRelease, says.recordRelease),
    verifyRelease: named(verifying.verifyRelease, says.verifyRelease),
    recordConsent: named(releasing.recordDecision, says.recordDecision),
    recordDecision: named(parting.recordDecision, says.recordDecision),
    endRun: named(releasing.endRun, says.endRun),
    endRunOnParting: named(parting.endRun, says.endRun),
    yieldClaim: named(parting.yieldClaim, says.yieldClaim),
    askPollers: named(asking.askPollers, says.askPollers),
  };
}

/** What a person reads of an activity, and may address it by. */
type Label = Pick<ActivityOptions, 'activityId' | 'summary'>;

/** With the four that take a label, the only use of `executeWithOptions`, which is marked experimental. */
function named<I, O>(
  activity: { executeWithOptions(options: ActivityOptions, args: [I]): Promise<O> },
  words: (input: I) => string,
): (input: I) => Promise<O> {
  return (input) => activity.executeWithOptions({ summary: cutSummary(words(input)) }, [input]);
}

export type Proxies = ReturnType<typeof createProxies>;
