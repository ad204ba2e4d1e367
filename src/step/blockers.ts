import type { BlockerPolicy } from '../contract/blockers.js';

/** What a session of ours waits for, and who has it; as `pgunwind.blockers` answers. */
export interface Blocked {
  readonly lock: { readonly type: string; readonly mode: string; readonly relation: string | null } | null;
  readonly sessions: readonly Blocker[];
  /** Global ids of prepared transactions in the way: they have no session. */
  readonly prepared: readonly string[];
}

export interface Blocker {
  readonly pid: number;
  /** Null, like state, client, since and kind, for a session of another role that ours may not look into. */
  readonly backendStart: string | null;
  readonly application: string | null;
  readonly user: string | null;
  readonly client: string | null;
  readonly state: string | null;
  /** Since when its transaction is open. */
  readonly since: string | null;
  /** `backend_type` of pg_stat_activity. */
  readonly kind: string | null;
  readonly issued: boolean;
  readonly superuser: boolean;
  readonly walsender: boolean;
  readonly wraparound: boolean;
}

/**
 * Why the policy leaves this session alone, as words for a person; null: it may be ended. The server decides again in the
 * statement that ends it (END_BLOCKER).
 */
export function leftAlone(blocker: Blocker, policy: BlockerPolicy): string | null {
  if (policy === 'wait') return '';
  if (blocker.issued || blocker.application === 'pg-unwind') return 'a session of pg-unwind, left alone';
  if (blocker.walsender) return 'it feeds a replica, left alone';
  if (blocker.kind === 'autovacuum worker' && blocker.wraparound) return 'it protects from wraparound, left alone';
  if (blocker.kind !== null && blocker.kind !== 'client backend' && blocker.kind !== 'autovacuum worker')
    return `a ${blocker.kind}, left alone`;
  if (policy === 'terminate') return null;
  if (blocker.kind !== null && blocker.kind !== 'client backend') return `a ${blocker.kind}, left alone`;
  if (blocker.state === null)
    return 'our role may not see whether it is idle (grant pg_read_all_stats), so it is left alone';
  return blocker.state.startsWith('idle in transaction') ? null : 'not idle in a transaction, and waited for';
}

/**
 * A gap between two statements of a transaction that is alive is no idleness. The candidate is settled before anything is
 * ended: in one WHERE the planner could put pg_terminate_backend, which it takes for cheap, before the other conditions.
 */
export const END_BLOCKER = `-- pg-unwind blockers.end
with candidate as materialized (
  select a.pid, a.backend_start, a.application_name, a.usename, a.client_addr, a.state, a.xact_start
    from pg_stat_activity a
   where a.pid = $1
     and a.backend_start is not distinct from $2::timestamptz
     and a.pid = any (pg_blocking_pids($3))
     and exists (select from pg_stat_activity w where w.pid = $3 and w.backend_start = $4::timestamptz)
     and ($5 = 'terminate'
          or $5 = 'terminateIdle' and a.state like 'idle in transaction%'
             and a.state_change < clock_timestamp() - interval '100 milliseconds')
     and a.application_name <> 'pg-unwind'
     and not pgunwind.is_issued(a.application_name)
     and (a.datname is null or a.datname = current_database() or a.application_name not like 'pgu:%')
), ended as materialized (
  select c.*, pg_terminate_backend(c.pid) as told from candidate c
)
insert into pgunwind.ended_session (run, seq, attempt, policy, pid, backend_start, application, username, client, state, since)
select $6, $7, $8, $5, e.pid, e.backend_start, e.application_name, e.usename, host(e.client_addr), e.state, e.xact_start
  from ended e
 where e.told
returning pid`;

/** The server's refusal (42501), with what would help. */
export function mayNotEnd(blocker: Blocker): string {
  return blocker.superuser
    ? "a superuser's session, which our role may not end (SQLSTATE 42501): end it as a superuser"
    : 'our role may not end it (SQLSTATE 42501): grant pg_signal_backend to it';
}

export function describeBlocker(blocker: Blocker): string {
  const name =
    blocker.kind !== null && blocker.kind !== 'client backend'
      ? `an ${blocker.kind}`.replace(/^an (?![aeiou])/, 'a ')
      : blocker.application === null || blocker.application === ''
        ? 'a session without a name'
        : `"${blocker.application}"`;
  const facts = [
    `process ${blocker.pid}`,
    blocker.user === null ? null : `user ${blocker.user}`,
    blocker.client === null ? null : `from ${blocker.client}`,
    blocker.state ?? 'state not visible to our role',
    blocker.since === null ? null : `in its transaction since ${momentText(blocker.since)}`,
  ];
  return `${name} (${facts.filter((fact) => fact !== null).join(', ')})`;
}

/** `2026-11-23 16:31:08 UTC`, from what the server sends, in whatever zone its session is. */
function momentText(timestamp: string): string {
  const at = new Date(timestamp);
  if (Number.isNaN(at.getTime())) return timestamp;
  return `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** `AccessExclusiveLock on public.jobs`; a CREATE INDEX CONCURRENTLY waits for transactions, without a table. */
export function describeLock({ lock }: Blocked): string {
  if (lock === null) return 'a lock';
  if (lock.relation !== null) return `${lock.mode} on ${lock.relation}`;
  return lock.type === 'virtualxid' || lock.type === 'transactionid'
    ? 'the end of another transaction'
    : `${lock.mode} (${lock.type})`;
}
