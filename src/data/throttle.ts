import { FailureType, UnwindError } from '../contract/errors.js';
import { askValue } from '../postgres/ask-value.js';
import { CANCELED, LOCK_NOT_AVAILABLE, sqlstateOf } from '../postgres/sqlstate.js';
import type { Batch, BatchSite } from './batch.js';
import type { DataContext, DataLimits, MaxLoad } from './order.js';

/** Keeps a data migration out of the way of what else the server does. */
export interface Throttle {
  /** Between two batches: returns when no limit is exceeded, and says meanwhile which one is. */
  pass(): Promise<void>;
  /** The next batch's size, given what the time of the last one alone would allow; pauses where others waited for its locks. */
  yieldLocks(batch: Pick<Batch, 'waiting' | 'tookMs'>, ranWith: number, wanted: number): Promise<number>;
}

/** Between two looks; a limit is about seconds, and a look costs a round trip. */
const EVERY_MS = 1_000;

/** A load query that takes longer says by that alone that the server is busy. */
const LOAD_MS = 5_000;

/** After sessions have waited for a batch, the next ones may grow by this only: they would wait again soon. */
const RECOVERY = 1.1;
const PAUSE_MS = { least: 100, most: 5_000 };

/** What a throttle needs to know of where the batches run. */
type ThrottleSite = Pick<BatchSite, 'session' | 'doing'> & { readonly order: Pick<BatchSite['order'], 'database'> };

export function createThrottle(site: ThrottleSite, { pause, signal }: DataContext, limits: DataLimits): Throttle {
  const { maxLoad, maxReplicationLagSeconds, pauseWhenLocksWait, mostRows } = limits;
  let lookedAt = -Infinity;
  let allowedRows = mostRows;

  async function exceeded(): Promise<string | null> {
    lookedAt = performance.now();
    const lag = maxReplicationLagSeconds === null ? null : await lagging(site, maxReplicationLagSeconds);
    return lag ?? (maxLoad === null ? null : overloaded(site, maxLoad));
  }

  return {
    async pass() {
      if (maxLoad === null && maxReplicationLagSeconds === null) return;
      if (performance.now() - lookedAt < EVERY_MS) return;
      const since = performance.now();
      for (let why = await exceeded(); why !== null; why = await exceeded()) {
        site.doing(`waiting for ${Math.round((performance.now() - since) / 1_000)} s: ${why}`);
        await pause(EVERY_MS);
        signal.throwIfAborted();
      }
    },
    async yieldLocks({ waiting, tookMs }, ranWith, wanted) {
      if (!pauseWhenLocksWait) return wanted;
      if (waiting === 0) {
        allowedRows = Math.min(mostRows, Math.ceil(allowedRows * RECOVERY));
        return Math.min(wanted, allowedRows);
      }
      allowedRows = Math.max(1, Math.floor(ranWith / 2));
      const sessions = waiting === 1 ? 'a session' : `${waiting} sessions`;
      site.doing(`${sessions} waited for locks of the last batch: smaller batches, after a pause`);
      await pause(Math.min(PAUSE_MS.most, Math.max(PAUSE_MS.least, tookMs)));
      return Math.min(wanted, allowedRows);
    },
  };
}

// A standby that catches up is behind by a time that nobody knows. `hidden`: our role may not see how far it is.
const LAG = `-- pg-unwind throttle.replication-lag
select r.application_name as name, r.state = 'catchup' as catching,
       extract(epoch from r.replay_lag)::float8 as seconds, r.state is null as hidden
  from pg_stat_replication r
 where r.state is null or r.state in ('streaming', 'catchup')
 order by r.state is null desc, r.state = 'catchup' desc, r.replay_lag desc nulls last
 limit 1`;

interface LagRow {
  readonly name: string | null;
  readonly catching: boolean | null;
  readonly seconds: number | null;
  readonly hidden: boolean;
}

/** In words, where the slowest standby is further behind than it may be. */
async function lagging({ session, order }: ThrottleSite, most: number): Promise<string | null> {
  const [row] = (await session.client.query<LagRow>(LAG)).rows;
  if (row === undefined) return null;
  if (row.hidden) {
    throw new UnwindError(
      FailureType.DataFailed,
      `The role of "${order.database}" may not see how far its standbys are behind, and options.data.maxReplicationLagSeconds limits ` +
        `that to ${most} s. All batches so far are durable. Grant pg_monitor to the role, or set the limit to null and restart the ` +
        'worker; then send the update "retryStep".',
    );
  }
  const limit = `more than ${most} s (options.data.maxReplicationLagSeconds)`;
  if (row.catching === true) return `the standby "${row.name}" is catching up, perhaps ${limit} behind`;
  if (row.seconds === null || row.seconds <= most) return null;
  return `the standby "${row.name}" replays ${Math.round(row.seconds)} s behind, ${limit}`;
}

async function overloaded({ session, order }: ThrottleSite, { query, limit }: MaxLoad): Promise<string | null> {
  const option = 'options.data.maxLoad';
  let value: unknown;
  try {
    value = await askValue(session.client, query, LOAD_MS);
  } catch (error) {
    const sqlstate = sqlstateOf(error);
    if (sqlstate === null) throw error;
    if (CANCELED.has(sqlstate)) return `the query of ${option} did not answer within ${LOAD_MS / 1_000} s`;
    if (LOCK_NOT_AVAILABLE.has(sqlstate)) return `the query of ${option} had to wait for a lock`;
    throw unusable(order.database, `failed (SQLSTATE ${sqlstate})`);
  }
  const load = typeof value === 'string' && value !== '' ? Number(value) : value;
  if (typeof load !== 'number' || Number.isNaN(load)) throw unusable(order.database, 'did not give one number');
  return load > limit ? `the load is ${load}, more than ${limit} (${option})` : null;
}

function unusable(database: string, what: string): UnwindError {
  return new UnwindError(
    FailureType.DataFailed,
    `The query of options.data.maxLoad ${what} on "${database}", so nobody knows whether the server can bear a batch. All batches so far ` +
      'are durable. Correct it in pg-unwind.yaml and restart the worker, then send the update "retryStep".',
  );
}
