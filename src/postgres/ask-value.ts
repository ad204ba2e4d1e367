import type pg from 'pg';
import { limited } from './within.js';

/** The server's answer that it took too long comes first; the limit of our own is for one that says nothing. */
const ANSWER_MS = 2_000;

/**
 * The first column of the one row of a query that has only so much time, and that somebody else may have written: in a transaction
 * that only reads, and that is over afterwards. Undefined: no row, or several.
 * @throws the driver's error: 57014 after `ms`; one without a SQLSTATE when the server says nothing, and the session is lost then.
 */
export async function askValue(
  client: pg.ClientBase,
  text: string,
  ms: number,
  values: unknown[] = [],
): Promise<unknown> {
  await client.query(`begin read only; set local statement_timeout = ${Math.max(1, Math.ceil(ms))}`);
  try {
    const { rows } = await client.query<Record<string, unknown>>(limited(ms + ANSWER_MS, text, values));
    return rows.length === 1 ? Object.values(rows[0] as Record<string, unknown>)[0] : undefined;
  } finally {
    await client.query(limited(ANSWER_MS, 'rollback')).catch(() => undefined); // a session that is lost has told so already
  }
}
