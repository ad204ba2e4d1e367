import pg from 'pg';
import type { SessionSettings } from './session.js';

/** `transaction_timeout` came with PostgreSQL 17. */
export const TRANSACTION_TIMEOUT_SINCE = 170_000;

export function settingsOf(settings: SessionSettings): Record<string, string> {
  return {
    statement_timeout: String(settings.statementTimeoutMs),
    lock_timeout: String(settings.lockTimeoutMs),
    idle_in_transaction_session_timeout: String(settings.idleInTransactionMs),
    client_connection_check_interval: String(settings.connectionCheckMs),
    // A path that fell silent is noticed by the server within a minute, not after its system's two hours, though the session is idle.
    tcp_keepalives_idle: '30',
    tcp_keepalives_interval: '10',
    tcp_keepalives_count: '3',
    // What a role or database may have set otherwise, and what would change the meaning of a script.
    default_transaction_isolation: 'read committed',
    default_transaction_read_only: 'off',
    default_transaction_deferrable: 'off',
    standard_conforming_strings: 'on',
  };
}

/** As startup options these beat a role's settings and survive the reset. */
export function startupOptions(wanted: Record<string, string>, version: number | undefined): string {
  const all =
    version !== undefined && version >= TRANSACTION_TIMEOUT_SINCE ? { ...wanted, transaction_timeout: '0' } : wanted;
  return Object.entries(all)
    .map(([name, value]) => `-c ${name}=${value.replaceAll(' ', '\\ ')}`)
    .join(' ');
}

export function setStatements(wanted: Record<string, string>, version: number): string {
  const all = version >= TRANSACTION_TIMEOUT_SINCE ? { ...wanted, transaction_timeout: '0' } : wanted;
  return Object.entries(all)
    .map(([name, value]) => `set ${name} = ${pg.escapeLiteral(value)};`)
    .join(' ');
}

/**
 * node-postgres lets a connection string's `options` and `application_name` replace ours: our limits would be gone, and a
 * step's session without the name that the fence knows it by. Its options stay, before ours: of two the server takes the last.
 */
export function splitOptions(url: string): { url: string; options: string | undefined } {
  if (!URL.canParse(url)) return { url, options: undefined };
  const parsed = new URL(url);
  const options = parsed.searchParams.get('options') ?? undefined;
  const named = parsed.searchParams.has('application_name') || parsed.searchParams.has('fallback_application_name');
  if (options === undefined && !named) return { url, options };
  for (const name of ['options', 'application_name', 'fallback_application_name']) parsed.searchParams.delete(name);
  return { url: parsed.href, options };
}
