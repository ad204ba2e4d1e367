import type { Node } from 'libpg-query';

import type { AloneAction, Execution, Unit } from '../contract/script.js';
import { isSwitchedOn, objectName, objectNameOf, words, type Statement } from './script-parse.js';

/** A statement and why nobody can look between its transactions, if so. */
export interface Piece {
  readonly statement: Statement;
  readonly opaque: string | null;
}

export interface Division {
  readonly units: readonly Unit[];
  readonly execution: Execution;
}

/**
 * Divides a script into the pieces that the engine runs, each with a record of its own. The text's transaction control lies
 * between the pieces; COMMIT AND CHAIN makes a piece on both of its sides even where that piece is empty.
 */
export function divide(pieces: readonly Piece[], endOfText: number): Division {
  const units: Unit[] = [];
  let open = null as { start: number; end: number; statements: number } | null;
  let chained = false; // COMMIT AND CHAIN began the segment: it counts even when nothing follows
  const close = (at: number, keepEmpty: boolean) => {
    if (open !== null) {
      units.push({ kind: 'transaction', span: { start: open.start, end: open.end }, statements: open.statements });
    } else if (keepEmpty) {
      units.push({ kind: 'transaction', span: { start: at, end: at }, statements: 0 });
    }
    open = null;
  };

  for (const { statement, opaque } of pieces) {
    const { node, span } = statement;
    const control = boundaryOf(node);
    const action = aloneActionOf(node);
    if (control !== null) {
      close(span.start, chained || control === 'commitAndChain');
      chained = control === 'commitAndChain';
    } else if (opaque !== null || action !== null) {
      close(span.start, false);
      chained = false;
      units.push(opaque !== null ? { kind: 'opaque', span, why: opaque } : { kind: 'alone', span, action: action! });
    } else {
      open = { start: open?.start ?? span.start, end: span.end, statements: (open?.statements ?? 0) + 1 };
    }
  }
  close(endOfText, chained);

  const filled = units.filter((unit) => unit.kind !== 'transaction' || unit.statements > 0);
  const execution = executionOf(units, filled);
  return { units: execution === 'segmented' ? units : filled, execution };
}

function executionOf(units: readonly Unit[], filled: readonly Unit[]): Execution {
  if (filled.length === 0) return 'empty';
  if (units.some((unit) => unit.kind === 'opaque')) return 'opaque';
  if (units.some((unit) => unit.kind === 'alone')) return 'concurrent';
  return units.length > 1 ? 'segmented' : 'atomic';
}

/** BEGIN, COMMIT and the refused kinds end the piece before them; savepoints are ordinary statements of a piece. */
function boundaryOf(node: Node): 'commitAndChain' | 'other' | null {
  if (!('TransactionStmt' in node)) return null;
  switch (node.TransactionStmt.kind) {
    case 'TRANS_STMT_SAVEPOINT':
    case 'TRANS_STMT_RELEASE':
    case 'TRANS_STMT_ROLLBACK_TO':
      return null;
    case 'TRANS_STMT_COMMIT':
      return node.TransactionStmt.chain === true ? 'commitAndChain' : 'other';
    default:
      return 'other';
  }
}

/** Null: the statement may stand in a transaction block. */
function aloneActionOf(node: Node): AloneAction | null {
  if ('IndexStmt' in node && node.IndexStmt.concurrent === true) {
    const { idxname, relation, if_not_exists } = node.IndexStmt;
    return {
      kind: 'createIndex',
      index: idxname ?? null,
      table: objectName(relation),
      ifNotExists: if_not_exists === true,
    };
  }
  if ('DropStmt' in node && node.DropStmt.concurrent === true) {
    const [index] = node.DropStmt.objects ?? [];
    const parts = index !== undefined && 'List' in index ? words(index.List.items) : [];
    return { kind: 'dropIndex', index: objectNameOf(parts), ifExists: node.DropStmt.missing_ok === true };
  }
  if ('AlterTableStmt' in node) {
    for (const command of node.AlterTableStmt.cmds ?? []) {
      const def = 'AlterTableCmd' in command ? command.AlterTableCmd.def : undefined;
      if (def !== undefined && 'PartitionCmd' in def && def.PartitionCmd.concurrent === true) {
        const parent = objectName(node.AlterTableStmt.relation);
        return { kind: 'detachPartition', parent, partition: objectName(def.PartitionCmd.name) };
      }
    }
    return null;
  }
  if ('ReindexStmt' in node) {
    const { kind, relation, params } = node.ReindexStmt;
    if (kind === 'REINDEX_OBJECT_INDEX' || kind === 'REINDEX_OBJECT_TABLE') {
      if (!isSwitchedOn(params, 'concurrently')) return null;
      const what = kind === 'REINDEX_OBJECT_INDEX' ? 'index' : 'table';
      return { kind: 'reindex', what, object: objectName(relation) };
    }
    return { kind: 'repeatable', what: 'REINDEX' };
  }
  const repeatable = repeatableOf(node);
  return repeatable === null ? null : { kind: 'repeatable', what: repeatable };
}

function repeatableOf(node: Node): string | null {
  if ('VacuumStmt' in node) return node.VacuumStmt.is_vacuumcmd === true ? 'VACUUM' : null;
  if ('ClusterStmt' in node) return node.ClusterStmt.relation === undefined ? 'CLUSTER' : null;
  if ('AlterSystemStmt' in node) return 'ALTER SYSTEM';
  if ('AlterSubscriptionStmt' in node) {
    return node.AlterSubscriptionStmt.kind === 'ALTER_SUBSCRIPTION_REFRESH' ? 'ALTER SUBSCRIPTION … REFRESH' : null;
  }
  return null;
}
