import { parsePlPgSQLSync, type Node } from 'libpg-query';

import { optionOf, tryParse, walk, words, type Statement } from './script-parse.js';

/** Procedural code as far as it can be read without running it. */
export interface Body {
  /** COMMIT or ROLLBACK inside; also said of code that cannot be read and has one of the words. */
  readonly endsTransactions: boolean;
  /** An exception block: part of what ran before it may be undone. */
  readonly catches: boolean;
  /** An exception block that does not raise again. */
  readonly swallows: boolean;
  readonly dynamic: boolean;
  /** Another language, or a body that the parser does not take: `words` is then the whole of it. */
  readonly unreadable: boolean;
  /** Its own SQL; expressions appear as the queries that plpgsql makes of them. */
  readonly statements: readonly Statement[];
  /** The constant parts of its expressions when it has dynamic SQL: what the made text may say. */
  readonly words: string;
}

/** A function or procedure that the script itself creates. */
export interface Routine {
  readonly name: string;
  readonly body: Body;
}

const NOTHING: Body = {
  endsTransactions: false,
  catches: false,
  swallows: false,
  dynamic: false,
  unreadable: false,
  statements: [],
  words: '',
};

/** The block of a DO statement. */
export function readBlock(statement: Statement): Body {
  if (!('DoStmt' in statement.node)) return NOTHING;
  const { args } = statement.node.DoStmt;
  return readBody(
    stringOf(optionOf(args, 'language')) ?? 'plpgsql',
    stringOf(optionOf(args, 'as')) ?? '',
    statement.text,
  );
}

/** Null: the statement creates no routine. */
export function readRoutine(statement: Statement): Routine | null {
  if (!('CreateFunctionStmt' in statement.node)) return null;
  const { funcname, options, sql_body } = statement.node.CreateFunctionStmt;
  const name = words(funcname).at(-1) ?? '?';
  if (sql_body !== undefined) return { name, body: { ...NOTHING, statements: queriesOf(sql_body, statement) } };
  const language = stringOf(optionOf(options, 'language')) ?? 'sql';
  const as = optionOf(options, 'as');
  const source = as && 'List' in as ? (words(as.List.items)[0] ?? '') : (stringOf(as) ?? '');
  return { name, body: readBody(language, source, statement.text) };
}

function stringOf(node: Node | null | undefined): string | undefined {
  return node && 'String' in node ? node.String.sval : undefined;
}

/** `begin atomic … end`: the parser has read the queries already. */
function queriesOf(body: Node, statement: Statement): Statement[] {
  const queries: Statement[] = [];
  walk(body, (node) => {
    if ('List' in node) return true;
    queries.push({ ...statement, node });
    return false;
  });
  return queries;
}

function readBody(language: string, source: string, statement: string): Body {
  switch (language.toLowerCase()) {
    case 'plpgsql':
      return readPlpgsql(statement) ?? unreadable(source, PLPGSQL_END);
    case 'sql': {
      const statements = tryParse(source);
      return statements === null ? unreadable(source) : { ...NOTHING, statements };
    }
    case 'c':
    case 'internal':
      return { ...NOTHING, unreadable: true };
    default:
      return unreadable(source);
  }
}

/** COMMIT or ROLLBACK where a statement of plpgsql can stand: a column may have the name, too. */
const PLPGSQL_END = /(?:^|;|\b(?:begin|then|else|loop))\s*(?:commit|rollback)\b(?:\s+and\s+(?:no\s+)?chain)?\s*;/i;

/** Its words are taken for everything that they could mean. */
function unreadable(source: string, ending = /\b(commit|rollback)\b/i): Body {
  const code = source.replace(/--[^\n]*/g, ' ').replace(/\/\*[\s\S]*?\*\//g, ' ');
  const catches = /\b(exception\s+when|except|catch|rescue)\b/i.test(code);
  return {
    endsTransactions: ending.test(code),
    catches,
    swallows: catches,
    dynamic: true,
    unreadable: true,
    statements: [],
    words: code,
  };
}

// The tree of a plpgsql body is typed nowhere: fields are looked at by name, and what is missing is taken as absent.
type Tree = Readonly<Record<string, unknown>>;

/** How plpgsql reads the text of an expression (`RawParseMode` of the server). */
const PARSE_MODE = { statement: 0, typeName: 1, expression: 2 } as const;
/** `elog_level` of RAISE EXCEPTION and of a bare RAISE; lower ones are messages. */
const ERROR_LEVEL = 21;

function readPlpgsql(statement: string): Body | null {
  let tree: Tree;
  try {
    tree = parsePlPgSQLSync(statement) as unknown as Tree;
  } catch {
    return null; // e.g. a return type or a parameter of a type that only a server knows
  }
  const body = { endsTransactions: false, catches: false, swallows: false, dynamic: false, unreadable: false };
  const statements: Statement[] = [];
  const constants: string[] = [];
  let functions = 0;
  visit(tree, (key, value) => {
    switch (key) {
      case 'PLpgSQL_function':
        functions++;
        break;
      case 'PLpgSQL_stmt_commit':
      case 'PLpgSQL_stmt_rollback':
        body.endsTransactions = true;
        break;
      case 'PLpgSQL_exception_block':
        body.catches = true;
        break;
      case 'PLpgSQL_exception':
        body.swallows ||= !raisesAgain(value);
        break;
      case 'PLpgSQL_stmt_dynexecute':
      case 'PLpgSQL_stmt_dynfors':
      case 'dynquery':
        body.dynamic = true;
        break;
      case 'PLpgSQL_expr': {
        const read = readExpression(value);
        if (read === null) body.unreadable = true;
        else statements.push(...read);
        break;
      }
    }
  });
  if (functions === 0) return null;
  for (const { node } of statements) constants.push(...constantsIn(node));
  return { ...body, statements, words: body.dynamic ? constants.join('\n;\n') : '' };
}

function visit(tree: unknown, see: (key: string, value: Tree) => void): void {
  if (Array.isArray(tree)) {
    for (const entry of tree) visit(entry, see);
  } else if (typeof tree === 'object' && tree !== null) {
    for (const [key, value] of Object.entries(tree)) {
      see(key, value as Tree);
      visit(value, see);
    }
  }
}

/** Only a RAISE among the handler's own statements: one below an IF may not be reached. */
function raisesAgain(handler: Tree): boolean {
  const actions = Array.isArray(handler['action']) ? (handler['action'] as Tree[]) : [];
  return actions.some((action) => {
    const raise = action['PLpgSQL_stmt_raise'] as Tree | undefined;
    return raise !== undefined && Number(raise['elog_level'] ?? 0) >= ERROR_LEVEL;
  });
}

function readExpression(expression: Tree): Statement[] | null {
  const query = typeof expression['query'] === 'string' ? expression['query'] : '';
  switch (Number(expression['parseMode'] ?? PARSE_MODE.statement)) {
    case PARSE_MODE.statement:
      return tryParse(query);
    case PARSE_MODE.typeName:
      return [];
    case PARSE_MODE.expression:
      return tryParse(`SELECT ${query}`);
    default:
      return tryParse(`SELECT ${query.replace(/^[^:=]*:?=/, '')}`); // an assignment: its target calls nothing
  }
}

/** The text constants, in order; those of one expression are one text with gaps: `'drop table ' || name`. */
function constantsIn(tree: Node): string[] {
  const parts: string[] = [];
  walk(tree, (node) => {
    if ('A_Const' in node && node.A_Const.sval?.sval !== undefined) parts.push(node.A_Const.sval.sval);
  });
  return parts.length === 0 ? [] : [parts.join('%I')];
}
