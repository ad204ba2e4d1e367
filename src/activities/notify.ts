import { Context } from '@temporalio/activity';
import { hookOf, timeoutOf, type HookConfig } from '../config/hooks.js';
import type { Activities } from '../contract/activities.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { Notice } from '../contract/notices.js';
import type { ActivityDeps } from './deps.js';
import { beating } from './heartbeat.js';
import { deliver } from './hook-delivery.js';
import { saying } from './hook-outcome.js';

/**
 * Tells the operator's own side. Unlike a hook that the run stands still for, it asks and writes no journal: the databases may be what
 * the news is about. So after a lost answer it tells once more, with the same key.
 */
export function createNotify(deps: ActivityDeps): Activities['notify'] {
  return (notice) =>
    beating('calling hooks.notify', async () => {
      const { config } = deps.instances.open(notice.instance);
      const hook = hookOf(config, 'notify');
      if (hook === undefined) throw failed(notice, 'is not in the configuration of this worker any more', '');
      if (hook.activity !== undefined) {
        const { attempts } = hook;
        return { told: false, activity: { ...hook.activity, timeoutSeconds: timeoutOf(hook), attempts } }; // by the workflow
      }
      await tell(deps, notice, hook);
      const { instance, run, event, number } = notice;
      deps.log.info({ instance, run, event, number }, `${instance}: hooks.notify was told: ${event}`);
      return { told: true };
    });
}

async function tell(deps: ActivityDeps, notice: Notice, hook: HookConfig): Promise<void> {
  const { outcome, what } = await deliver(deps, notice, hook).catch((error: unknown) => {
    if (error instanceof UnwindError && error.type === FailureType.InvalidConfig)
      throw failed(notice, `cannot be called. ${error.message}`, '');
    throw error;
  });
  if (outcome.kind === 'answered') return; // a 202 as well: nobody waits for more
  const { attempt } = Context.current().info;
  const found = `${what} ${outcome.what}`;
  if (outcome.kind === 'refused') throw failed(notice, found, outcome.said);
  if (attempt >= hook.attempts) throw failed(notice, `${found} (attempt ${attempt}, the last)`, outcome.said);
  throw new UnwindError(
    FailureType.HookUnanswered,
    `${found}${saying(outcome.said)}. It is called again (attempt ${attempt} of ${hook.attempts}).`,
    outcome.retryAfterMs === undefined ? {} : { retryAfterMs: outcome.retryAfterMs },
  );
}

function failed({ instance, event, idempotencyKey }: Notice, found: string, said: string): UnwindError {
  const subject = found.startsWith('The ') ? found : `hooks.notify of "${instance}" ${found}`;
  return new UnwindError(
    FailureType.HookFailed,
    `${subject}${saying(said)}. So nobody was told of the event "${event}"; the run does not wait for that.`,
    { details: { hook: 'notify', event, idempotencyKey } },
  );
}
