import type { Logger } from 'pino';
import type { RawCheck } from '../journal/answers.js';
import type { Instances } from '../instance/instances.js';
import type { WorkerMetrics } from './metrics.js';
import type { PlanCache } from './plan-cache.js';

/** What the activities share in one worker. */
export interface ActivityDeps {
  readonly instances: Instances;
  readonly plans: PlanCache;
  readonly verdicts: Verdicts;
  readonly log: Logger;
  readonly metrics: WorkerMetrics;
  /** What references to secrets find, and what a hook's command inherits. */
  readonly env: NodeJS.ProcessEnv;
  /** Of the configuration file: where a hook's command runs. */
  readonly folder: string;
  /** The namespace has our search attributes. */
  readonly searchAttributes: boolean;
}

/**
 * The clean check that rode behind a step's commit, for as long as it may answer for the next one. A hint of this process: a
 * worker without it asks the database.
 */
export interface Verdicts {
  keep(run: string, database: string, check: RawCheck | null): void;
  /** Not older than `withinMs`; null: none. */
  recall(run: string, database: string, nextSeq: number, withinMs: number): RawCheck | null;
}

export function createVerdicts(now: () => number = () => performance.now()): Verdicts {
  const kept = new Map<string, { check: RawCheck; at: number }>();
  return {
    keep(run, database, check) {
      const key = `${run}/${database}`;
      if (check === null || !check.clean) kept.delete(key);
      else kept.set(key, { check, at: now() });
    },
    recall(run, database, nextSeq, withinMs) {
      const entry = kept.get(`${run}/${database}`);
      return entry !== undefined && entry.check.nextSeq === nextSeq && now() - entry.at <= withinMs
        ? entry.check
        : null;
    },
  };
}
