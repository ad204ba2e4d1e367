import { inspect } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';

export interface UntilOptions<T> {
  /** Milliseconds. */
  readonly within?: number;
  readonly every?: number;
  /** What is waited for, for the failure: "the journal to show step 3 as done". */
  readonly describe: string;
  /** What of the last look is worth printing; everything by default. */
  readonly show?: (seen: T) => unknown;
}

type Truthy<T> = Exclude<T, null | undefined | false | 0 | ''>;

/**
 * Waits for a fact: looks again and again until `fact` returns something true, and returns it. A look that throws counts as "not yet".
 * @throws what was waited for and what was seen instead.
 */
export async function until<T>(fact: () => T | Promise<T>, options: UntilOptions<T>): Promise<Truthy<Awaited<T>>> {
  const within = options.within ?? 10_000;
  const deadline = performance.now() + within;
  for (let looks = 1; ; looks += 1) {
    let seen: string;
    try {
      const value = await fact();
      if (value) return value as Truthy<Awaited<T>>;
      seen = inspect(options.show ? options.show(value) : value, { depth: 6 });
    } catch (error) {
      seen = `an error: ${inspect(error, { depth: 3 })}`;
    }
    if (performance.now() > deadline) {
      throw new Error(`Waited ${within} ms (${looks} looks) for ${options.describe}; last seen: ${seen}`);
    }
    await sleep(options.every ?? 25);
  }
}

/** `until`, for "looks like this": waits until `matches(look())`, and prints the last look when it never does. */
export async function untilSeen<T>(
  look: () => T | Promise<T>,
  matches: (seen: T) => boolean,
  options: Omit<UntilOptions<T>, 'show'>,
): Promise<T> {
  let last: { seen: T } | null = null;
  const found = await until(
    async () => {
      last = null;
      const seen = await look();
      last = { seen };
      return matches(seen) ? { seen } : null;
    },
    { ...options, show: () => last?.seen },
  );
  return found.seen;
}
