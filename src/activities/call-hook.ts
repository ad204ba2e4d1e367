import { Context } from '@temporalio/activity';
import { hookOf, timeoutOf, type HookConfig } from '../config/hooks.js';
import type { Activities } from '../contract/activities.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { HookAnswer, HookCall } from '../contract/hooks.js';
import { hookAnswer, recordHook } from '../journal/hooks.js';
import type { InstanceDatabase } from '../step/database.js';
import type { ActivityDeps } from './deps.js';
import { beating } from './heartbeat.js';
import { deliver } from './hook-delivery.js';
import { saying } from './hook-outcome.js';

// What a call of a hook promises.
// 1. A hook that has answered is not called again: the journals are asked before.
// 2. Its answer is in the journals before the workflow goes on. Where none can be written, Temporal's history alone has it.
// 3. What it is given is the same at every attempt, the idempotency key above all: where the answer was lost (a worker that died
//    between 1 and 2) it is called once more.

export function createCallHook(deps: ActivityDeps): Activities['callHook'] {
  return (call) =>
    beating(`calling hooks.${call.hook}`, async () => {
      const { databases, config } = deps.instances.open(call.instance);
      const known = await answered(databases, call); // 1
      if (known !== null) return { answer: known, how: 'found' };
      const hook = hookOf(config, call.hook);
      if (hook === undefined) throw failed(call, 'is not in the configuration of this worker any more', '');
      if (hook.activity !== undefined) {
        const { attempts } = hook;
        return { answer: 'theirs', activity: { ...hook.activity, timeoutSeconds: timeoutOf(hook), attempts } }; // by the workflow
      }
      const { answer, what } = await answerOf(deps, call, hook);
      deps.log.info(
        { instance: call.instance, run: call.run, hook: call.hook, answer },
        `${call.instance}: ${what} at ${call.release ?? 'the start'}: ${answer === 'done' ? 'done' : 'taken up, "continue" will come'}`,
      );
      await record(databases, call, answer).catch((error: unknown) =>
        deps.log.warn({ err: error, ...call }, `${call.instance}: the answer of hooks.${call.hook} is in no journal`),
      ); // 2
      return { answer, how: 'called' };
    });
}

export function createAnswerHook({ instances }: ActivityDeps): Activities['answerHook'] {
  return ({ call, answer }) => record(instances.open(call.instance).databases, call, answer);
}

async function answered(databases: readonly InstanceDatabase[], { run, idempotencyKey }: HookCall) {
  const asked = await Promise.allSettled(
    databases.map(async (database) => {
      await database.prepare();
      return database.sessions.withSession(({ client }) => hookAnswer(client, run, idempotencyKey));
    }),
  );
  const answers = asked.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  const known = answers.find((each) => each === 'done') ?? answers.find((each) => each !== null) ?? null;
  const failure = asked.find((each) => each.status === 'rejected');
  if (known === null && failure !== undefined) throw failure.reason; // the one that cannot be asked may hold it
  return known;
}

async function record(
  databases: readonly InstanceDatabase[],
  { run, hook, idempotencyKey: key }: HookCall,
  answer: HookAnswer,
): Promise<void> {
  const written = await Promise.allSettled(
    databases.map((database) =>
      database.sessions.withSession(({ client }) => recordHook(client, { run, key, hook, answer })),
    ),
  );
  const failure = written.find((each) => each.status === 'rejected');
  if (failure !== undefined && written.every((each) => each.status === 'rejected')) throw failure.reason;
}

async function answerOf(
  deps: ActivityDeps,
  call: HookCall,
  hook: HookConfig,
): Promise<{ answer: HookAnswer; what: string }> {
  const { outcome, what } = await deliver(deps, call, hook).catch((error: unknown) => {
    // A secret that is not there, or not one: the words are about this worker's configuration.
    if (error instanceof UnwindError && error.type === FailureType.InvalidConfig)
      throw failed(call, `cannot be called. ${error.message}`, '');
    throw error;
  });
  if (outcome.kind === 'answered') return { answer: outcome.answer, what };
  const { attempt } = Context.current().info;
  const found = `${what} ${outcome.what}`;
  if (outcome.kind === 'refused') throw failed(call, found, outcome.said);
  if (attempt >= hook.attempts) throw failed(call, `${found} (attempt ${attempt}, the last)`, outcome.said);
  throw new UnwindError(
    FailureType.HookUnanswered,
    `${found}${saying(outcome.said)}. It is called again (attempt ${attempt} of ${hook.attempts}).`,
    outcome.retryAfterMs === undefined ? {} : { retryAfterMs: outcome.retryAfterMs },
  );
}

function failed(call: HookCall, found: string, said: string): UnwindError {
  const where = call.release === null ? 'between two releases' : `at ${call.release}`;
  const subject = found.startsWith('The ') ? found : `hooks.${call.hook} of "${call.instance}" ${found}`;
  return new UnwindError(
    FailureType.HookFailed,
    `${subject}${saying(said)}. The databases stand ${where}, and this changed nothing of them. When the cause is gone, send the update ` +
      `"retryStep": it is called again, with the same idempotency key. If somebody has done by hand what it is for, send "continue".`,
    { details: { hook: call.hook, idempotencyKey: call.idempotencyKey } },
  );
}
