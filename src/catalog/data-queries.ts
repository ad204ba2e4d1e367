import type { Node } from 'libpg-query';

import { loadParser, parametersOf, parseStatements, ScriptSyntaxError, walk, words } from '../postgres/script-parse.js';
import { refusalOf } from '../postgres/script-refusals.js';

/** `check`: a look at the data (progress, verify), without parameters. `batch`: one batch of a direction. */
export type QueryKind = 'check' | 'batch';

type Select = Extract<Node, { SelectStmt: unknown }>['SelectStmt'];

/** What is wrong with a query of a data migration, in words that follow its name: `has a syntax error: …`. Empty: nothing. */
export async function queryFaults(kind: QueryKind, text: string): Promise<string[]> {
  await loadParser();
  try {
    const nodes = parseStatements(text).map(({ node }) => node);
    return statementFaults(nodes) ?? faultsOf(kind, nodes[0]!);
  } catch (error) {
    if (!(error instanceof ScriptSyntaxError)) throw error;
    return [`cannot be parsed: ${error.reason} (line ${error.line}, column ${error.column} of the query).`];
  }
}

/** Null: it is one statement, and one that may stand in a transaction of ours. */
function statementFaults(nodes: readonly Node[]): string[] | null {
  if (nodes.some((node) => 'TransactionStmt' in node)) {
    return ['holds transaction control; each batch is a transaction of pg-unwind. Take it out.'];
  }
  if (nodes.length === 1) return null;
  if (nodes.length === 0) return ['holds no statement.'];
  return [`holds ${nodes.length} statements; a query is exactly one. Join them with WITH.`];
}

function faultsOf(kind: QueryKind, node: Node): string[] {
  const select = 'SelectStmt' in node ? node.SelectStmt : null;
  if (select === null || makesTable(select)) {
    return kind === 'check'
      ? ['must be a SELECT: it only looks at the data.']
      : ['must be a SELECT that gives one row: put INSERT, UPDATE or DELETE into a WITH, and count what it returns.'];
  }
  const refusal = refusalOf(node);
  const faults = refusal === null ? [] : [`cannot be run: ${refusal}`];
  return [...faults, ...(kind === 'check' ? checkFaults(node, select) : batchFaults(node, select))];
}

function makesTable({ intoClause, larg }: Select): boolean {
  return intoClause !== undefined || (larg !== undefined && makesTable(larg));
}

function checkFaults(node: Node, select: Select): string[] {
  const faults: string[] = [];
  if (parametersOf(node).length > 0) {
    faults.push(`uses ${listed(parametersOf(node))}; only forward and reverse have parameters.`);
  }
  if (changesRows(node)) faults.push('changes rows; it only looks at the data.');
  const columns = columnsOf(select);
  if (columns !== null && columns.length !== 1) faults.push(`gives ${columns.length} columns; it must give one.`);
  return faults;
}

function batchFaults(node: Node, select: Select): string[] {
  const faults: string[] = [];
  const parameters = parametersOf(node);
  const unknown = parameters.filter((number) => number !== 1 && number !== 2);
  if (unknown.length > 0) {
    faults.push(`uses ${listed(unknown)}; it has $1, how many rows at most, and $2, the cursor.`);
  }
  if (!parameters.includes(1)) faults.push('does not use $1, how many rows at most: without a limit it is no batch.');
  const columns = columnsOf(select);
  const missing = ['rows', 'cursor'].filter((name) => columns !== null && !columns.includes(name));
  if (missing.length > 0) {
    faults.push(`has no column ${missing.map((name) => `"${name}"`).join(' and ')}; it gives one row: rows, cursor.`);
  }
  return faults;
}

function listed(parameters: readonly number[]): string {
  return parameters.map((number) => `$${number}`).join(', ');
}

function changesRows(node: Node): boolean {
  let found = false;
  walk(node, (inner) => {
    found ||= 'InsertStmt' in inner || 'UpdateStmt' in inner || 'DeleteStmt' in inner || 'MergeStmt' in inner;
  });
  return found;
}

/** The names of the columns as the server makes them, null for one without; null: only a server could tell (`*`). */
function columnsOf(select: Select): (string | null)[] | null {
  if (select.larg !== undefined) return columnsOf(select.larg);
  const [row] = select.valuesLists ?? [];
  if (row !== undefined) return 'List' in row ? (row.List.items ?? []).map(() => null) : null;
  const names = (select.targetList ?? []).map((target) => {
    if (!('ResTarget' in target)) return undefined;
    return target.ResTarget.name ?? nameOf(target.ResTarget.val);
  });
  return names.some((name) => name === undefined) ? null : names.map((name) => name ?? null);
}

/** Of a column without AS; null: nothing that we look for. Undefined: it may be several columns, or any name. */
function nameOf(value: Node | undefined): string | null | undefined {
  if (value === undefined) return undefined;
  if ('ColumnRef' in value) return words(value.ColumnRef.fields?.slice(-1))[0];
  if ('FuncCall' in value) return words(value.FuncCall.funcname).at(-1);
  if ('TypeCast' in value) return nameOf(value.TypeCast.arg);
  if ('CollateClause' in value) return nameOf(value.CollateClause.arg);
  if ('A_Indirection' in value || 'SubLink' in value) return undefined;
  return null;
}
