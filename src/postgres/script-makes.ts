import type { Node } from 'libpg-query';

import type { Made } from '../contract/script.js';
import { dotted, isTemporary, relationName, walk } from './script-parse.js';

/**
 * Tables and columns that a script makes with nothing in them: what it fills itself, by INSERT, UPDATE, COPY or a query, is not
 * among them, nor a computed column, nor one whose default is its content.
 */
export function madeBy(nodes: readonly Node[]): Made[] {
  const filled = new Set(nodes.flatMap(filledBy));
  const all = nodes.flatMap(ofStatement).filter(({ table }) => !filled.has(table));
  const tables = new Set(all.flatMap(({ kind, table }) => (kind === 'table' ? [table] : [])));
  return all
    .filter(({ kind, table }) => kind === 'table' || !tables.has(table))
    .map(({ kind, object }) => ({ kind, object }));
}

type Found = Made & { readonly table: string };

function ofStatement(node: Node): Found[] {
  if ('CreateStmt' in node) {
    const { relation, partbound } = node.CreateStmt;
    if (isTemporary(relation) || partbound !== undefined) return [];
    const table = relationName(relation);
    return [{ kind: 'table', object: table, table }];
  }
  if (!('AlterTableStmt' in node)) return [];
  const table = relationName(node.AlterTableStmt.relation);
  return (node.AlterTableStmt.cmds ?? []).flatMap((command): Found[] => {
    if (!('AlterTableCmd' in command) || command.AlterTableCmd.subtype !== 'AT_AddColumn') return [];
    const { def } = command.AlterTableCmd;
    if (def === undefined || !('ColumnDef' in def)) return [];
    const { colname, constraints = [] } = def.ColumnDef;
    const fills = constraints.some(
      (each) => 'Constraint' in each && ['CONSTR_GENERATED', 'CONSTR_IDENTITY'].includes(each.Constraint.contype ?? ''),
    );
    return fills ? [] : [{ kind: 'column', object: dotted(table, colname), table }];
  });
}

function filledBy(statement: Node): string[] {
  const all: string[] = [];
  walk(statement, (node) => {
    if ('CreateFunctionStmt' in node) return false;
    if ('InsertStmt' in node) all.push(relationName(node.InsertStmt.relation));
    if ('UpdateStmt' in node) all.push(relationName(node.UpdateStmt.relation));
    if ('CopyStmt' in node && node.CopyStmt.is_from === true) all.push(relationName(node.CopyStmt.relation));
    return true;
  });
  return all;
}
