import { TASK_QUEUE } from '../contract/ids.js';
import { HOOKS } from '../contract/hooks.js';
import { recordAt, type Problem } from './written.js';

/** Node's own fetch waits no longer for the head of an answer. */
const LONGEST_WEBHOOK_SECONDS = 300;

const KINDS = ['webhook', 'command', 'activity'] as const;

/** Looks at what was written, as all rules that span several keys do. */
export function hookProblems(raw: unknown): Problem[] {
  const queue = recordAt(raw, ['temporal'])['taskQueue'];
  const own = typeof queue === 'string' ? queue : TASK_QUEUE;
  return (['products', 'instances'] as const).flatMap((kind) =>
    Object.keys(recordAt(raw, [kind])).flatMap((name) => {
      const hooks = recordAt(raw, [kind, name, 'hooks']);
      return HOOKS.filter((hook) => Object.hasOwn(hooks, hook)).flatMap((hook) =>
        problemsOfHook(recordAt(hooks, [hook]), [kind, name, 'hooks', hook], own),
      );
    }),
  );
}

function problemsOfHook(hook: Record<string, unknown>, at: readonly string[], ownQueue: string): Problem[] {
  const given = KINDS.filter((kind) => Object.hasOwn(hook, kind));
  const problems: Problem[] = [];
  if (given.length !== 1) {
    const has =
      given.length === 0 ? 'has none of' : `has ${given.map((kind) => `"${kind}"`).join(' and ')}; it takes one of`;
    problems.push({ at, message: `${has} "webhook", "command" or "activity"` });
  }
  if (recordAt(hook, ['activity'])['taskQueue'] === ownQueue) {
    const message = `"${ownQueue}" is the queue of pg-unwind's own workers, which do not know your activities: serve another one`;
    problems.push({ at: [...at, 'activity', 'taskQueue'], message });
  }
  const { timeoutSeconds } = hook;
  if (given[0] === 'webhook' && typeof timeoutSeconds === 'number' && timeoutSeconds > LONGEST_WEBHOOK_SECONDS) {
    const message =
      `a webhook is waited for ${LONGEST_WEBHOOK_SECONDS} s at most: let it answer 202 at once, and send the update "continue" ` +
      'when its work is done';
    problems.push({ at: [...at, 'timeoutSeconds'], message });
  }
  return problems;
}
