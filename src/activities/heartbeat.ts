import { Context } from '@temporalio/activity';

/**
 * Every second, from the second on: what ends sooner sends none and costs nothing. With the worker's throttle of a second
 * (worker.ts) Temporal hears from an activity at least every two, so that the shortest heartbeat timeout, five seconds, has
 * room for an event loop that is busy for three.
 */
const HEARTBEAT_MS = 1_000;

/** What Temporal shows of a pending activity: words of ours, names of tables, sessions and roles; never a row or a query's text. */
export interface Beat {
  readonly doing: string;
  readonly seconds: number;
}

/**
 * Tells Temporal that this worker lives for as long as `work` runs: without it a dead one would be noticed when the whole time of
 * the activity has passed. It is also the way by which an activity hears of a cancellation.
 */
export async function beating<T>(doing: string, work: (tell: (doing: string) => void) => Promise<T>): Promise<T> {
  const context = Context.current();
  const began = Date.now();
  let now = doing;
  const beat = () => {
    const details: Beat = { doing: now, seconds: Math.round((Date.now() - began) / 1_000) };
    context.heartbeat(details);
  };
  const ticker = setInterval(beat, HEARTBEAT_MS);
  try {
    return await work((what) => {
      now = what;
      beat();
    });
  } finally {
    clearInterval(ticker);
  }
}
