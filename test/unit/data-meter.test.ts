import { expect, test } from 'vitest';
import { createMeter } from '../../src/data/meter.js';

test('rate and remaining time are those of the last while, and time goes by between two looks at the data', () => {
  let now = 0;
  const meter = createMeter({ batches: 2, rows: 200 }, 0, () => now);
  expect(meter.beat('begins', 100)).toMatchObject({ batches: 2, rows: 200, rowsPerSecond: null, secondsLeft: null });
  meter.measured(1);
  now = 10_000;
  meter.batch(1_000);
  meter.measured(0.9);
  expect(meter.beat('moves', 100)).toMatchObject({ rows: 1_200, rowsPerSecond: 100, progress: 0.9, secondsLeft: 90 });
  now = 15_000;
  expect(meter.beat('moves', 100)).toMatchObject({ progress: 0.9, secondsLeft: 85 });
  now = 500_000;
  expect(meter.beat('waits', 100).secondsLeft).toBeNull();
});
