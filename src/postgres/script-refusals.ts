import type { Node } from 'libpg-query';

import { callsIn } from './script-calls.js';
import { isSwitchedOn, optionOf } from './script-parse.js';

/** Settings that make the transactions after them read-only, or fix their snapshot: the engine's own record could fail. */
const TRANSACTION_SETTINGS: ReadonlySet<string> = new Set([
  'transaction_isolation',
  'transaction_read_only',
  'transaction_deferrable',
  'default_transaction_isolation',
  'default_transaction_read_only',
  'default_transaction_deferrable',
]);

/** Why the engine does not run a script that has this statement, and what to change; null: nothing stands against it. */
export function refusalOf(node: Node): string | null {
  if ('TransactionStmt' in node) return ofTransactionControl(node.TransactionStmt);
  if ('VariableSetStmt' in node) {
    const { kind, name = '' } = node.VariableSetStmt;
    if (kind === 'VAR_SET_MULTI' || TRANSACTION_SETTINGS.has(name)) {
      return (
        `It sets transaction characteristics (${kind === 'VAR_SET_MULTI' ? `SET ${name}` : name}); ` +
        'steps run in read committed, read-write transactions. Take the statement out.'
      );
    }
  }
  if ('DiscardStmt' in node && node.DiscardStmt.target === 'DISCARD_ALL') {
    return 'DISCARD ALL would give up the lock under which the step runs. Discard what is meant: PLANS, SEQUENCES or TEMP.';
  }
  if ('CopyStmt' in node && node.CopyStmt.filename === undefined) {
    return 'COPY from or to the client has no client here. Use INSERT, or COPY with a file of the server.';
  }
  if ('DropStmt' in node && node.DropStmt.concurrent === true && (node.DropStmt.objects ?? []).length > 1) {
    return 'DROP INDEX CONCURRENTLY takes one index at a time. Write one statement for each.';
  }
  if (callsIn(node).some((call) => call.name === 'pg_advisory_unlock_all')) {
    return 'pg_advisory_unlock_all would give up the lock under which the step runs. Unlock by key.';
  }
  const cluster = clusterWide(node);
  return cluster === null
    ? null
    : `${cluster} cannot run in a transaction and cannot be told apart from an earlier attempt's. Run it outside of migrations.`;
}

function ofTransactionControl(
  statement: Extract<Node, { TransactionStmt: unknown }>['TransactionStmt'],
): string | null {
  switch (statement.kind) {
    case 'TRANS_STMT_BEGIN':
    case 'TRANS_STMT_START': {
      const isolation = optionOf(statement.options, 'transaction_isolation');
      const usual =
        (isolation === undefined || constantOf(isolation) === 'read committed') &&
        !isSet(statement.options, 'transaction_read_only');
      return usual
        ? null
        : 'BEGIN sets transaction characteristics; steps run in read committed, read-write transactions. Write a plain BEGIN.';
    }
    case 'TRANS_STMT_ROLLBACK':
      return 'ROLLBACK undoes what cannot be told from the text, and its record with it. Take it out, or use a savepoint.';
    case 'TRANS_STMT_PREPARE':
    case 'TRANS_STMT_COMMIT_PREPARED':
    case 'TRANS_STMT_ROLLBACK_PREPARED':
      return 'It leaves or ends a prepared transaction, which no record can follow. Use plain transactions.';
    default:
      return null;
  }
}

function constantOf(node: Node | null): string | undefined {
  return node !== null && 'A_Const' in node ? node.A_Const.sval?.sval : undefined;
}

function isSet(options: readonly Node[] | undefined, name: string): boolean {
  const value = optionOf(options, name);
  return !!value && 'A_Const' in value && (value.A_Const.ival?.ival ?? 0) !== 0;
}

function clusterWide(node: Node): string | null {
  if ('CreatedbStmt' in node) return 'CREATE DATABASE';
  if ('DropdbStmt' in node) return 'DROP DATABASE';
  if ('AlterDatabaseStmt' in node && optionOf(node.AlterDatabaseStmt.options, 'tablespace') !== undefined) {
    return 'ALTER DATABASE … SET TABLESPACE';
  }
  if ('CreateTableSpaceStmt' in node) return 'CREATE TABLESPACE';
  if ('DropTableSpaceStmt' in node) return 'DROP TABLESPACE';
  if ('CreateSubscriptionStmt' in node) return 'CREATE SUBSCRIPTION';
  if ('DropSubscriptionStmt' in node) return 'DROP SUBSCRIPTION';
  if ('AlterSubscriptionStmt' in node) {
    const { kind, options } = node.AlterSubscriptionStmt;
    const refreshes = optionOf(options, 'refresh') === undefined || isSwitchedOn(options, 'refresh');
    const changes = [
      'ALTER_SUBSCRIPTION_SET_PUBLICATION',
      'ALTER_SUBSCRIPTION_ADD_PUBLICATION',
      'ALTER_SUBSCRIPTION_DROP_PUBLICATION',
    ];
    if (kind !== undefined && changes.includes(kind) && refreshes)
      return 'ALTER SUBSCRIPTION … PUBLICATION with a refresh';
  }
  return null;
}
