import type { SessionPool } from '../postgres/session-pool.js';
import type { AttemptContext } from './order.js';

const PROGRESS = `-- pg-unwind watch.progress
select a.state, a.wait_event_type, a.wait_event,
       extract(epoch from clock_timestamp() - a.query_start)::integer as seconds,
       array(select format('%s (process %s, %s)', b.application_name, b.pid, b.state)
               from pg_stat_activity b
              where b.pid = any (pg_blocking_pids(a.pid))) as blockers,
       (select format('building an index: %s, %s of %s blocks', i.phase, i.blocks_done, i.blocks_total)
          from pg_stat_progress_create_index i where i.pid = a.pid) as index_progress
  from pg_stat_activity a
 where a.pid = $1`;

const CANCEL = `-- pg-unwind watch.cancel
select pg_cancel_backend(a.pid)
  from pg_stat_activity a
 where a.pid = $1 and a.application_name like 'pgu:%'`;

/** A statement shorter than this is not worth a second connection. */
const FIRST_LOOK_MS = 1_000;

interface ProgressRow {
  state: string;
  wait_event_type: string | null;
  wait_event: string | null;
  seconds: number;
  blockers: string[];
  index_progress: string | null;
}

/**
 * Runs `work` on the backend `pid`; after a second a second connection reports what that backend does and waits for, and an
 * abort cancels it on the server: the statement ends, the transaction rolls back.
 */
export async function watched<T>(
  sessions: SessionPool,
  pid: number,
  { progress, signal }: Pick<AttemptContext, 'progress' | 'signal'>,
  work: () => Promise<T>,
): Promise<T> {
  let timer: NodeJS.Timeout | null = null;
  let looking: Promise<void> = Promise.resolve();
  let over = false;
  const look = () => {
    looking = sessions
      .withSession(async ({ client }) => {
        const { rows } = await client.query<ProgressRow>(PROGRESS, [pid]);
        if (rows[0] !== undefined && !over) progress(describe(rows[0]));
      })
      .catch(() => undefined) // the step's own connection says what is wrong
      .then(() => {
        if (!over) timer = setTimeout(look, FIRST_LOOK_MS);
      });
  };
  timer = setTimeout(look, FIRST_LOOK_MS);
  const cancel = () => {
    void sessions.withSession(({ client }) => client.query(CANCEL, [pid])).catch(() => undefined);
  };
  signal.addEventListener('abort', cancel, { once: true });
  if (signal.aborted) cancel();
  try {
    return await work();
  } finally {
    over = true;
    clearTimeout(timer);
    signal.removeEventListener('abort', cancel);
    await looking;
  }
}

function describe(row: ProgressRow): string {
  const parts = [row.index_progress ?? `running for ${row.seconds} s`];
  if (row.wait_event !== null) parts.push(`waits for ${row.wait_event_type}/${row.wait_event}`);
  if (row.blockers.length > 0) parts.push(`blocked by ${row.blockers.join(', ')}`);
  return parts.join('; ');
}
