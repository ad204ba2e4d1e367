import { z } from 'zod';
import { BLOCKER_POLICIES } from './blockers.js';

const seconds = z.number().int().min(1);
/** Temporal counts them in 32 bits, and takes no task that asks for more. */
export const MOST_ATTEMPTS = 1_000_000;
const rows = z.number().int().min(1).max(10_000_000);

/**
 * What the update `setOptions` changes for the rest of one run, in place of the instance's `options`; docs/configuration.md tells
 * what each does. At least one.
 */
export const runOptionsSchema = z
  .strictObject({
    stepTimeoutSeconds: seconds.max(2_592_000),
    heartbeatTimeoutSeconds: seconds.min(5).max(3_600),
    maximumAttempts: z.number().int().min(1).max(MOST_ATTEMPTS).nullable(),
    blockers: z.enum(BLOCKER_POLICIES),
    data: z
      .strictObject({
        batchTargetMs: z.number().int().min(1).max(600_000),
        firstBatchRows: rows,
        mostBatchRows: rows,
        stallBatches: z.number().int().min(1).max(1_000_000),
        maxReplicationLagSeconds: z.number().min(0).max(86_400).nullable(),
        pauseWhenLocksWait: z.boolean(),
      })
      .partial(),
  })
  .partial();

export type RunOptionsGiven = z.infer<typeof runOptionsSchema>;
