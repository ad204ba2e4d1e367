import { z } from 'zod';
import { BLOCKER_POLICIES } from '../contract/blockers.js';
import { TASK_QUEUE } from '../contract/ids.js';
import { MOST_ATTEMPTS } from '../contract/run-options.js';
import { WRITERS_POLICIES } from '../contract/writers.js';
import { encryptionSchema } from './encryption.js';
import { hooksSchema } from './hooks.js';
import { connectionReferenceSchema } from './reference.js';

/** Names become parts of workflow ids, activity ids and command lines: no slash, no blank, nothing to quote. */
const name = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/,
    'a name is 1 to 100 letters, digits, ".", "_" or "-", and begins with a letter or digit',
  );

const text = z.string().min(1, 'must not be empty');
const milliseconds = z.number().int().min(0).max(86_400_000);

const temporalSchema = z.strictObject({
  /** host:port. What is not said here comes from the profile: TEMPORAL_* variables, then temporal.toml. */
  address: text.optional(),
  namespace: text.optional(),
  /** A profile of temporal.toml. */
  profile: text.optional(),
  taskQueue: text.default(TASK_QUEUE),
  /** Of what Temporal keeps; null: it keeps plain JSON. */
  encryption: encryptionSchema.nullable().default(null),
});

const hostAndPort = (example: string) => z.string().regex(/^\S+:\d{1,5}$/, `must be host:port, such as ${example}`);

const workerSchema = z.strictObject({
  maxConcurrentActivities: z.number().int().min(1).max(10_000).default(50),
  /** How long a stopping worker lets a step finish before it rolls it back. */
  shutdownGraceSeconds: z.number().int().min(0).max(86_400).default(30),
  /** host:port for Prometheus; null: no metrics. */
  metricsAddress: hostAndPort('127.0.0.1:9464').nullable().default(null),
  /** host:port for /livez and /readyz; null: nobody can ask. */
  healthAddress: hostAndPort('127.0.0.1:9465').nullable().default(null),
});

const productSchema = z.strictObject({
  /** The folder of the compiled catalog, relative to the configuration file. */
  catalog: text,
  ledger: z.strictObject({ kind: z.literal('sourcegraph'), schema: text.default('public') }),
  /** Where the product itself notes which release it is. */
  releaseMarker: z
    .strictObject({
      kind: z.literal('sourcegraph'),
      database: name,
      service: text.default('frontend'),
      schema: text.default('public'),
    })
    .optional(),
  databases: z
    .record(
      name,
      z.strictObject({
        /** Which of the ledger's histories is this database's: `schema_migrations`, `codeintel_schema_migrations`, … */
        ledgerKey: text,
      }),
    )
    .refine((databases) => Object.keys(databases).length > 0, 'a product has at least one database'),
  /** Of every instance that does not say otherwise. */
  hooks: hooksSchema.prefault({}),
});

const rows = z.number().int().min(1).max(10_000_000);

/** How data migrations are carried out: as fast as the server bears, and no faster. */
const dataOptionsSchema = z.strictObject({
  /** What a batch should take: the next one is as much larger or smaller. */
  batchTargetMs: z.number().int().min(1).max(600_000).default(500),
  firstBatchRows: rows.default(1_000),
  mostBatchRows: rows.default(50_000),
  /** Batches that say they did something while the data does not move: then the run parks. */
  stallBatches: z.number().int().min(1).max(1_000_000).default(50),
  /** Batches wait while a standby replays further behind; null: nobody looks. */
  maxReplicationLagSeconds: z.number().min(0).max(86_400).nullable().default(null),
  /** Batches wait while this query, asked of the database that they work on, gives more than `limit`; null: nobody asks. */
  maxLoad: z.strictObject({ query: text, limit: z.number() }).nullable().default(null),
  /** Sessions that wait for the locks of a batch make the next ones smaller, with a pause before each. */
  pauseWhenLocksWait: z.boolean().default(true),
});

/** Sessions of others at the beginning of a leg: the product's services, which should be stopped then. */
const writersOptionsSchema = z.strictObject({
  policy: z.enum(WRITERS_POLICIES).default('warn'),
  exemptRoles: z.array(text).default([]),
  /** Exact, or the beginning of a name with `*` behind it. */
  exemptApplicationNames: z.array(text).default([]),
});

const optionsSchema = z.strictObject({
  /**
   * How long a step waits for a lock before it gives way to those behind it and tries again; 0 waits for ever. Longer than the
   * server's `deadlock_timeout` (1 s by default), after which an ordinary autovacuum gives way to whoever waits for it.
   */
  lockTimeoutMs: milliseconds.default(1_500),
  /** 0: no limit. A script that is cut off halfway and rolled back has only cost time. */
  statementTimeoutMs: milliseconds.default(0),
  /** What may be done about sessions that hold a lock which a step needs. */
  blockers: z.enum(BLOCKER_POLICIES).default('wait'),
  /** Where the schema is compared with the release's: after the last leg, or after each. */
  verify: z.enum(['final', 'every-release']).default('final'),
  /** The longest honest step: Temporal takes it for dead afterwards. */
  stepTimeoutSeconds: z.number().int().min(1).max(2_592_000).default(21_600),
  /** A dead worker is noticed after this time, whatever it was doing. */
  heartbeatTimeoutSeconds: z.number().int().min(5).max(3_600).default(10),
  /** Attempts at a failure that a repeat can cure, before the run parks; null: for ever. */
  maximumAttempts: z.number().int().min(1).max(MOST_ATTEMPTS).nullable().default(null),
  /** How long an activity of the product's own waits for a worker before somebody asks whether its task queue is polled at all. */
  workerWaitSeconds: z.number().int().min(1).max(3_600).default(40),
  data: dataOptionsSchema.prefault({}),
  writers: writersOptionsSchema.prefault({}),
});

const instanceSchema = z.strictObject({
  product: name,
  /** What a fleet is selected by. */
  labels: z.record(name, z.string()).default({}),
  databases: z.record(
    name,
    z.strictObject({
      url: connectionReferenceSchema,
      /** For what the ordinary role may not do (extensions, ending the sessions of others). */
      privilegedUrl: connectionReferenceSchema.optional(),
      /** A standby of it: what a plan would lose is counted there. */
      standbyUrl: connectionReferenceSchema.optional(),
    }),
  ),
  options: optionsSchema.prefault({}),
  hooks: hooksSchema.prefault({}),
});

/** `pg-unwind.yaml`, version 1. */
export const configSchema = z.strictObject({
  temporal: temporalSchema.prefault({}),
  worker: workerSchema.prefault({}),
  products: z.record(name, productSchema).default({}),
  instances: z.record(name, instanceSchema).default({}),
});

export type ConfigContent = z.infer<typeof configSchema>;
export type TemporalSettings = z.infer<typeof temporalSchema>;
export type WorkerSettings = z.infer<typeof workerSchema>;
export type ProductConfig = z.infer<typeof productSchema>;
export type InstanceConfig = z.infer<typeof instanceSchema>;
export type DataOptions = z.infer<typeof dataOptionsSchema>;
export type InstanceOptions = z.infer<typeof optionsSchema>;

export interface Config extends ConfigContent {
  /** The file it was read from, absolute. Relative paths in it were resolved against its folder. */
  readonly file: string;
}
