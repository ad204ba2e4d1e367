import type { Context } from '@temporalio/activity';
import { type MetricMeter, noopMetricMeter } from '@temporalio/common';
import type { CheckVerdict, StepOutcome } from '../contract/activities.js';
import type { DataMetrics } from '../data/order.js';

export interface DataLabels {
  readonly instance: string;
  readonly database: string;
  readonly id: string;
  readonly act: string;
}

/**
 * For Prometheus, where `worker.metricsAddress` serves it; docs/operations.md lists all. The SDK calls its meter experimental: this
 * file is the only one that knows it.
 */
export function createDataMetrics(
  { metricMeter }: Pick<Context, 'metricMeter'>,
  { instance, database, id, act }: DataLabels,
): DataMetrics & { rows(count: number): void } {
  const meter = metricMeter.withTags({ instance, database, data_migration: id, direction: act });
  const rows = meter.createCounter('pg_unwind_data_rows', '{row}', 'Rows that batches of data migrations have moved');
  const seconds = meter.createHistogram('pg_unwind_data_batch_seconds', 'float', 's', 'Time of one batch, committed');
  const at = meter.createGauge('pg_unwind_data_progress', 'float', '1', 'Share of the data in the newer form');
  return {
    batch(count, tookMs) {
      rows.add(count);
      seconds.record(tookMs / 1_000);
    },
    /** Of calls of the product's own, whose batches nobody here has timed. */
    rows: (count) => rows.add(count),
    progress: (value) => at.set(value),
  };
}

interface Place {
  readonly instance: string;
  readonly database: string;
}

/** What the activities of one worker count. No label has a value that comes from a migration or a run: each would be a series for ever. */
export interface WorkerMetrics {
  step(at: Place, outcome: Pick<StepOutcome, 'how' | 'tookMs'> | 'failed'): void;
  check(at: Place, verdict: Pick<CheckVerdict, 'clean' | 'reasons'>): void;
  lockWait(at: Place, ms: number): void;
  endedSession(at: Place): void;
  parked(at: Place): void;
  retry(instance: string, activity: string): void;
  hookCall(instance: string, hook: string, outcome: string): void;
  /** How many running runs of an instance are in a state. */
  runs(instance: string, state: string, count: number): void;
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200];
/** The SDK's own are meant for milliseconds. */
export const SECONDS_BUCKETS = { pg_unwind_step_seconds: SECONDS, pg_unwind_data_batch_seconds: SECONDS };

/** Made once per worker: an instrument costs more than what it counts. */
export function createWorkerMetrics(meter: MetricMeter = noopMetricMeter): WorkerMetrics {
  const steps = meter.createCounter('pg_unwind_steps', '{step}', 'Attempts at steps, by how they ended');
  const seconds = meter.createHistogram('pg_unwind_step_seconds', 'float', 's', 'Time of a step on the server');
  const checks = meter.createCounter('pg_unwind_checks', '{check}', 'Dirty checks: clean, or each reason found');
  const retries = meter.createCounter('pg_unwind_retries', '{attempt}', 'Attempts of activities after their first');
  const waits = meter.createCounter('pg_unwind_lock_wait_milliseconds', 'ms', 'Time that steps wait for locks');
  const ended = meter.createCounter('pg_unwind_sessions_ended', '{session}', 'Sessions ended for the lock they held');
  const parks = meter.createCounter('pg_unwind_parks', '{park}', 'Databases whose claim a parked run gave back');
  const hooks = meter.createCounter('pg_unwind_hook_calls', '{call}', 'Calls of webhooks and commands');
  const runs = meter.createGauge('pg_unwind_runs', 'int', '{run}', 'Running runs by state, as Temporal lists them');
  return {
    step({ instance, database }, outcome) {
      const how = outcome === 'failed' ? outcome : outcome.how;
      const ran = how === 'ran' || how === 'empty';
      steps.add(1, { instance, database, outcome: ran ? 'ok' : how });
      if (outcome !== 'failed' && how !== 'foundDone') seconds.record(outcome.tookMs / 1_000, { instance, database });
    },
    check({ instance, database }, { clean, reasons }) {
      const verdicts = clean ? ['clean'] : [...new Set(reasons.map(({ code }) => code))];
      for (const verdict of verdicts) checks.add(1, { instance, database, verdict });
    },
    lockWait: ({ instance, database }, ms) => waits.add(Math.round(ms), { instance, database }),
    endedSession: ({ instance, database }) => ended.add(1, { instance, database }),
    parked: ({ instance, database }) => parks.add(1, { instance, database }),
    retry: (instance, activity) => retries.add(1, { instance, activity }),
    hookCall: (instance, hook, outcome) => hooks.add(1, { instance, hook, outcome }),
    runs: (instance, state, count) => runs.set(count, { instance, state }),
  };
}
