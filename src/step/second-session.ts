import type pg from 'pg';
import type { Loan, SessionPool } from '../postgres/session-pool.js';
import { sqlstateOf } from '../postgres/sqlstate.js';
import { limited } from '../postgres/within.js';

/** A session beside the step's, for short questions; every one of them ends. */
export interface SecondSession {
  /** @throws the server's error; or one without a SQLSTATE when no answer came in time: the next question gets a new connection. */
  ask<R extends pg.QueryResultRow>(text: string, values: unknown[]): Promise<R[]>;
  /** Gives the session back, at once or when the question under way has ended. */
  close(): void;
}

/** @param fresh not even the first question goes to a session that waited in the pool. */
export function openSecondSession(sessions: SessionPool, withinMs: number, fresh = false): SecondSession {
  let loan: Loan | null = null;
  let asking = 0;
  let closed = false;
  const settle = () => {
    if (!closed || asking > 0) return;
    loan?.giveBack();
    loan = null;
  };
  return {
    async ask<R extends pg.QueryResultRow>(text: string, values: unknown[]) {
      const until = performance.now() + withinMs;
      asking += 1;
      try {
        loan ??= await sessions.lend({ fresh, withinMs });
        return (await loan.session.client.query<R>(limited(until - performance.now(), text, values))).rows;
      } catch (error) {
        if (sqlstateOf(error) === null) {
          loan?.destroy();
          loan = null;
          fresh = true;
        }
        throw error;
      } finally {
        asking -= 1;
        settle();
      }
    },
    close() {
      closed = true;
      settle();
    },
  };
}
