import pg from 'pg';
import type { NoticeMessage } from 'pg-protocol/dist/messages.js';
import { limited } from './within.js';

/** What one simple-protocol message of several statements brought. */
export interface MessageResult {
  /** Rows of each statement that returned some, in order. */
  readonly results: readonly pg.QueryResult[];
  readonly notices: readonly Notice[];
}

export interface Notice {
  readonly severity: string;
  readonly sqlstate: string | null;
  readonly message: string;
}

/** A failed message: the server's error, and how far the message had come. */
export class MessageError extends Error {
  /** Statements that completed before the one that failed, `begin` included. DDL errors carry no position: count. */
  readonly completed: number;
  readonly notices: readonly Notice[];

  constructor(cause: unknown, completed: number, notices: readonly Notice[]) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = 'MessageError';
    this.completed = completed;
    this.notices = notices;
  }
}

const MAX_NOTICES = 1_000;

/**
 * Sends `text` as one message of the simple protocol: one round trip, parsed whole before anything runs; after an error the
 * server skips the rest, `commit` included. `limitMs` takes the place of the session's limit for a query.
 * @throws {MessageError} its `cause` is the driver's error.
 */
export async function sendMessage(client: pg.ClientBase, text: string, limitMs?: number): Promise<MessageResult> {
  const notices: Notice[] = [];
  let completed = 0;
  const onNotice = (notice: NoticeMessage) => {
    if (notices.length >= MAX_NOTICES) return;
    notices.push({
      severity: notice.severity ?? 'NOTICE',
      sqlstate: notice.code ?? null,
      message: notice.message ?? '',
    });
  };
  const onComplete = () => {
    completed += 1;
  };
  // The wire's own event is the only place where node-postgres tells how many statements of a failed message completed.
  const wire = (client as unknown as { connection: NodeJS.EventEmitter }).connection;
  client.on('notice', onNotice);
  wire.on('commandComplete', onComplete);
  try {
    const answer = (await client.query(limitMs === undefined ? text : limited(limitMs, text))) as unknown as
      pg.QueryResult | pg.QueryResult[];
    return { results: Array.isArray(answer) ? answer : [answer], notices };
  } catch (error) {
    throw new MessageError(error, completed, notices);
  } finally {
    client.removeListener('notice', onNotice);
    wire.removeListener('commandComplete', onComplete);
  }
}

/** The value of column `name` in the message's results; undefined when no statement returned such a column. */
export function columnOf<T>(result: MessageResult, name: string): T | undefined {
  for (const { rows } of result.results) {
    const row = rows[0] as Record<string, unknown> | undefined;
    if (row !== undefined && name in row) return row[name] as T;
  }
  return undefined;
}
