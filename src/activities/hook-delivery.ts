import { Context } from '@temporalio/activity';
import { kindOf, timeoutOf, type HookConfig } from '../config/hooks.js';
import { resolveText } from '../config/secrets.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { HookCall } from '../contract/hooks.js';
import type { Notice } from '../contract/notices.js';
import type { ActivityDeps } from './deps.js';
import { callCommand } from './hook-command.js';
import { beginningOf, endOf, type HookOutcome } from './hook-outcome.js';
import { callWebhook, urlFault } from './hook-webhook.js';

type HookDocument = HookCall | Notice;

/**
 * One call of a webhook or a command.
 * @throws {UnwindError} InvalidConfig: this worker has not what the call needs.
 */
export async function deliver(
  deps: ActivityDeps,
  document: HookDocument,
  hook: HookConfig,
): Promise<{ outcome: HookOutcome; what: string }> {
  const delivered = await callOnce(deps, document, hook);
  deps.metrics.hookCall(document.instance, document.hook, delivered.outcome.kind);
  return delivered;
}

async function callOnce(
  { env, folder }: ActivityDeps,
  call: HookDocument,
  hook: HookConfig,
): Promise<{ outcome: HookOutcome; what: string }> {
  const { cancellationSignal: signal } = Context.current();
  const body = JSON.stringify(call);
  const timeoutMs = timeoutOf(hook) * 1_000;
  const what = `The ${kindOf(hook)} hooks.${call.hook} of "${call.instance}"`;
  if (hook.webhook !== undefined) {
    const of = `${call.instance}, hooks.${call.hook}`;
    const url = await resolveText(hook.webhook.url, { of, what: 'URL', env, signal });
    const secret =
      hook.webhook.secret === undefined
        ? null
        : await resolveText(hook.webhook.secret, { of, what: 'secret', env, signal });
    const { idempotencyKey } = call;
    const fault = urlFault(url);
    if (fault !== null) throw unusable(of, 'URL', fault);
    const outcome = await callWebhook({ url, secret, idempotencyKey, body, timeoutMs, signal }).catch(
      (error: unknown) => {
        throw error instanceof RangeError ? unusable(of, 'secret', error.message) : error;
      },
    );
    return { outcome: shown(outcome, [url, secret], beginningOf), what: `${what} (${new URL(url).origin})` };
  }
  const outcome = await callCommand({
    argv: hook.command ?? [],
    folder,
    env: { ...env, ...variables(call) },
    body,
    timeoutMs,
    signal,
  });
  return { outcome: shown(outcome, [], endOf), what };
}

function variables(call: HookDocument): Record<string, string> {
  const told = 'event' in call ? { PG_UNWIND_EVENT: call.event, PG_UNWIND_MESSAGE: call.message } : {};
  return {
    ...told,
    PG_UNWIND_HOOK: call.hook,
    PG_UNWIND_INSTANCE: call.instance,
    PG_UNWIND_DIRECTION: call.direction,
    PG_UNWIND_FROM: call.from ?? '',
    PG_UNWIND_TO: call.to,
    PG_UNWIND_RELEASE: call.release ?? '',
    PG_UNWIND_NEXT: call.next ?? '',
    PG_UNWIND_NAMESPACE: call.namespace,
    PG_UNWIND_WORKFLOW_ID: call.workflowId,
    PG_UNWIND_IDEMPOTENCY_KEY: call.idempotencyKey,
  };
}

/** What was said, as people may see it: who is called may repeat in its answer what it was given. */
function shown(outcome: HookOutcome, secrets: readonly (string | null)[], cut: (text: string) => string): HookOutcome {
  if (outcome.kind === 'answered') return outcome;
  const clean = secrets.reduce<string>(
    (text, secret) => (secret === null ? text : text.replaceAll(secret, '***')),
    outcome.said,
  );
  return { ...outcome, said: cut(clean) };
}

function unusable(of: string, what: string, why: string): UnwindError {
  return new UnwindError(
    FailureType.InvalidConfig,
    `The ${what} of ${of} ${why}. Correct it where this worker finds it`,
  );
}
