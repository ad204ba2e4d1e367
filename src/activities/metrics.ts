import type { Context } from '@temporalio/activity';
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
