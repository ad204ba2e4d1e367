import type pg from 'pg';

/** A query with a limit of its own in place of the session's (SessionSettings.queryTimeoutMs). */
export function limited(ms: number, text: string, values: unknown[] = []): pg.QueryConfig {
  // node-postgres knows the option for one query too; its types do not.
  return { text, values, query_timeout: Math.max(1, Math.min(ms, LONGEST_TIMER_MS)) } as pg.QueryConfig;
}

/** Node fires a longer timer at once. In place of "no limit", for which node-postgres has no word once the session has one. */
export const LONGEST_TIMER_MS = 2_147_483_647;

/** `work`, or an error after `ms`; what it brings after that is handed to `late`. */
export async function within<T>(ms: number, work: Promise<T>, late: (value: T) => void): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let over = false;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      over = true;
      reject(new Error('timeout expired'));
    }, ms);
  });
  work.then(
    (value) => {
      if (over) late(value);
    },
    () => undefined, // whoever waits has been told already
  );
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}
