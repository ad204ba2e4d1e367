import { CancellationScope, condition, log, uuid4 } from '@temporalio/workflow';
import type { PlanSummary } from '../contract/activities.js';
import type { HookKind } from '../contract/hooks.js';
import { noticeActivityId, noticeSummary } from '../contract/ids.js';
import type { Parked } from '../contract/messages.js';
import type { NoticeAnswer, NoticeEvent } from '../contract/notices.js';
import { noticeOf } from './notice-document.js';
import { type Halt, keyOfHalt, now, warn } from './progress.js';
import type { Run } from './run.js';
import { attempts } from './their-activity.js';

// What `hooks.notify` promises.
// 1. It holds up nothing: the call runs beside the run, which hears of its end only as a warning.
// 2. One call per event, with a key that stays the same at each attempt. The number goes along into a new history.
// 3. A run does not end, nor go on in a new history, before what was begun has had a minute: its pending calls would be lost.

/** A person who waits for the end of a run waits no longer than this for a receiver that is away. */
const LAST_TRIES = '1m';
/** As for every activity of the operator's: until then somebody must have begun it. */
const WORKER_SECONDS = 40;

/** Nothing where no `hooks.notify` is configured, or neither a plan nor a planning that failed has said so. */
export function notify(run: Run, event: NoticeEvent, about: { parked?: Parked; message?: string } = {}): void {
  const { progress } = run;
  const { plan, outlets } = progress;
  const kind = plan === null ? outlets?.notify : plan.hooks?.notify;
  if (kind === undefined) return;
  const number = progress.notices.count + 1;
  progress.notices = { ...progress.notices, count: number }; // 2
  const notice = noticeOf(progress, plan, { event, number, unique: uuid4(), ...about });
  const told = CancellationScope.nonCancellable(() => tell(run, plan, kind, notice)) // 1: whatever becomes of the run
    .catch((error: unknown) => {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      note(run, `"${event}" could not be told: ${cause instanceof Error ? cause.message : String(cause)}`);
    })
    .finally(() => run.notices.delete(told));
  run.notices.add(told);
}

/** Once per halt, also where a new history goes on at it. */
export function notifyAtStop(run: Run, halt: Halt): void {
  const { notices } = run.progress;
  const key = keyOfHalt(halt);
  if (notices.halt === key) return;
  notify(run, 'atStop');
  run.progress.notices = { ...run.progress.notices, halt: key };
}

/** Where a cancellation does not reach it. */
export async function untilTold(run: Run): Promise<void> {
  if (run.notices.size === 0) return;
  if (await condition(() => run.notices.size === 0, LAST_TRIES, { summary: 'wait for hooks.notify to answer' })) return;
  note(run, `${run.notices.size} of its calls had no answer within ${LAST_TRIES} of the end, and were given up`);
}

async function tell(
  run: Run,
  plan: PlanSummary | null,
  kind: HookKind,
  notice: ReturnType<typeof noticeOf>,
): Promise<void> {
  const activityId = noticeActivityId(notice.number, notice.event);
  const summary = noticeSummary(kind, notice.event);
  const asking = kind === 'activity' ? { activityId: `${activityId}-asked`, summary: `${summary}, whom?` } : null;
  const answer: Partial<NoticeAnswer> | null = await run.proxies.notify(asking ?? { activityId, summary }, notice);
  if (answer?.told !== false || !answer.activity) return;
  const { taskQueue, type, timeoutSeconds: callSeconds, heartbeatSeconds, attempts: most } = answer.activity;
  const timeouts = { callSeconds, heartbeatSeconds, attempts: most };
  const waitSeconds = plan?.options.workerWaitSeconds ?? WORKER_SECONDS;
  await attempts({ taskQueue, type, activityId, summary, input: notice, timeouts }, waitSeconds);
}

function note(run: Run, text: string): void {
  log.warn(`hooks.notify: ${text}`);
  warn(run.progress, 'hooks.notify', `${now()} hooks.notify: ${text}`);
  run.show();
}
