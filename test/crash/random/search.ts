import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Connection, Client } from '@temporalio/client';
import fc from 'fast-check';
import { inject } from 'vitest';
import { describeCase, type Case } from './case.js';
import { addTally, newTally, type Tally } from './context.js';
import { runCase } from './drive.js';
import { cases, limitsOf, SIZES } from './generator.js';

export interface SearchOptions {
  /** Lanes side by side; each draws, and shrinks, by itself. */
  readonly concurrency: number;
  /** No case is begun after so long, and what shrinks by then is told as it is. */
  readonly withinMs: number;
  /** The first seeds; the others follow from them. */
  readonly seed: number;
  /** To repeat what a search has found: one lane, this seed, this path. */
  readonly path?: string;
  /** Cases of each seed. */
  readonly perSeed: number;
  /** No more seeds than that in all lanes together; without it as many as there is time for. */
  readonly seeds?: number;
  /** Of SIZES, how many are drawn from: the first are the quickest. */
  readonly sizes: number;
  /** After so many there is enough to do. */
  readonly findings: number;
  /** How long a lane looks for a smaller case that fails too. */
  readonly shrinkMs: number;
  readonly say: (line: string) => void;
}

export interface SearchResult {
  readonly runs: number;
  readonly tally: Tally;
  /** What was found, ready to print. */
  readonly findings: readonly string[];
}

/** Looks for cases that the product does not survive. */
export async function search(options: SearchOptions): Promise<SearchResult> {
  const { address, namespace } = inject('temporal');
  const connection = await Connection.connect({ address });
  const temporal = { client: new Client({ connection, namespace, identity: 'the search' }), address, namespace };
  const deadline = performance.now() + options.withinMs;
  const tally = newTally();
  const findings: string[] = [];
  const under = new Set<Promise<unknown>>();
  let [runs, given] = [0, 0];

  /** The property of one seed. Shrinking repeats cases that fail seldom and late: it has its time, then all pass. */
  const surviving = (seed: number) => {
    let failedAt: number | null = null;
    return async (test: Case) => {
      if (failedAt !== null && performance.now() - failedAt > options.shrinkMs) return;
      const running = runCase(test, temporal);
      const watched = running.catch(() => undefined);
      under.add(watched);
      try {
        addTally(tally, await running);
      } catch (error) {
        if (failedAt === null) options.say(`seed ${seed}: ${await keep(seed, error)}`);
        failedAt ??= performance.now();
        throw error;
      } finally {
        runs += 1;
        under.delete(watched);
      }
    };
  };
  const progress = setInterval(() => options.say(summaryOf(runs, tally)), 30_000);

  async function lane(): Promise<void> {
    while (
      performance.now() < deadline &&
      findings.length < options.findings &&
      (options.seeds === undefined || given < options.seeds)
    ) {
      const seed = nextSeed(options, given);
      given += 1;
      const details = await fc.check(fc.asyncProperty(cases(limitsOf(seed)), surviving(seed)), {
        seed,
        numRuns: options.path === undefined ? options.perSeed : 1,
        ...(options.path === undefined ? {} : { path: options.path }),
        interruptAfterTimeLimit: Math.max(1, deadline - performance.now()),
      });
      if (details.failed && details.counterexample !== null) {
        findings.push(tell(seed, details));
        options.say(findings.at(-1) ?? '');
      }
      if (options.path !== undefined) return;
    }
  }

  try {
    await Promise.all(Array.from({ length: options.path === undefined ? options.concurrency : 1 }, lane));
    await Promise.all(under); // what the time limit has left behind gives its databases back
  } finally {
    clearInterval(progress);
    await connection.close();
  }
  return { runs, tally, findings };
}

/** The first failure of a seed, before it is shrunk: what fails seldom may never be seen again. */
async function keep(seed: number, error: unknown): Promise<string> {
  const text = error instanceof Error ? error.message : String(error);
  const folder = path.join(tmpdir(), 'pg-unwind-findings');
  await mkdir(folder, { recursive: true });
  const file = path.join(folder, `${seed}-${Date.now()}.txt`);
  await writeFile(file, text);
  return `${text.split('\n')[0]} (all of it: ${file})`;
}

/** Larger and larger: the remainder of a seed is the size of its cases. */
function nextSeed({ seed, sizes, ...options }: SearchOptions, number: number): number {
  if (options.path !== undefined) return seed;
  return Math.floor(seed / SIZES.length) * SIZES.length + number * SIZES.length + (number % sizes);
}

export function summaryOf(runs: number, { faults, operator, recoveries }: Tally): string {
  const told = (counts: ReadonlyMap<string, number>) =>
    [...counts]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([what, number]) => `${what} ${number}`)
      .join(', ') || 'none';
  return `${runs} runs · faults: ${told(faults)} · recoveries: ${told(recoveries)} · operator: ${told(operator)}`;
}

function tell(seed: number, details: fc.RunDetails<[Case]>): string {
  const found = details.counterexample?.[0];
  const error = details.errorInstance instanceof Error ? details.errorInstance.message : String(details.errorInstance);
  return [
    `A finding, after ${details.numRuns} cases and ${details.numShrinks} steps of shrinking.`,
    `Again: npm run soak -- --seed ${seed} --path ${details.counterexamplePath ?? ''}`,
    found === undefined ? '' : describeCase(found),
    error,
  ].join('\n');
}
