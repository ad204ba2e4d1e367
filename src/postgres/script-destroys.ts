import type { Node } from 'libpg-query';

import type { Destruction } from '../contract/script.js';
import { dotted, isTemporary, relationName, walk, words } from './script-parse.js';

type Kind = Destruction['kind'];
/** What a statement destroys, before it is known how certain it is that the statement runs. */
export type Found = Omit<Destruction, 'certainty'>;

/** Objects that DROP names. What is not here loses nothing that an instance of a product would miss. */
const DROPPED: Readonly<Record<string, Kind>> = {
  OBJECT_TABLE: 'table',
  OBJECT_SCHEMA: 'schema',
  OBJECT_TYPE: 'type',
  OBJECT_DOMAIN: 'type',
  OBJECT_SEQUENCE: 'sequence',
  OBJECT_MATVIEW: 'materializedView',
  OBJECT_VIEW: 'view',
  OBJECT_FUNCTION: 'function',
  OBJECT_PROCEDURE: 'function',
  OBJECT_ROUTINE: 'function',
  OBJECT_AGGREGATE: 'function',
  OBJECT_INDEX: 'index',
  OBJECT_POLICY: 'policy',
  OBJECT_TRIGGER: 'trigger',
  OBJECT_EXTENSION: 'extension',
};

/** Content goes with these by any DROP. A sequence's position is content: no up brings it back. */
const HOLDS_DATA: ReadonlySet<Kind> = new Set(['table', 'column', 'rows', 'rewrite', 'sequence']);
/**
 * Content goes with these only by CASCADE: a RESTRICTed DROP SCHEMA demands an empty schema, and a RESTRICTed DROP TYPE,
 * DOMAIN or EXTENSION that no column uses it. A materialized view is computed: a refresh brings its rows back.
 */
const HOLDS_DATA_BY_CASCADE: ReadonlySet<Kind> = new Set(['schema', 'type', 'extension']);
/** The same of objects that have no kind of their own here: columns of a collation, tables of an access method. */
const HOLDS_UNNAMED_BY_CASCADE: ReadonlySet<string> = new Set(['OBJECT_COLLATION', 'OBJECT_ACCESS_METHOD']);

/** An extension may have tables of its own (pg_cron, pg_partman, PostGIS), and those go by any DROP. Known to have none: */
const WITHOUT_TABLES: ReadonlySet<string> = new Set(
  `adminpack amcheck autoinc bloom btree_gin btree_gist citext cube dblink dict_int dict_xsyn earthdistance file_fdw fuzzystrmatch
   hstore insert_username intagg intarray isn lo ltree moddatetime pageinspect pg_buffercache pg_freespacemap pg_prewarm
   pg_stat_statements pg_surgery pg_trgm pg_visibility pg_walinspect pgcrypto pgrowlocks pgstattuple plpgsql postgres_fdw refint seg
   sslinfo tablefunc tcn tsm_system_rows tsm_system_time unaccent uuid-ossp vector xml2`.split(/\s+/),
);

export function found(kind: Kind, object: string, cascade = false): Found {
  const data = HOLDS_DATA.has(kind) || (cascade && HOLDS_DATA_BY_CASCADE.has(kind));
  return { kind, object: object || '?', loss: data ? 'data' : 'structure', cascade };
}

/** The temporary relations that a statement makes; what happens to them destroys nothing of the instance's. */
export function temporariesOf(node: Node): string[] {
  const names: string[] = [];
  walk(node, (inner) => {
    if ('CreateFunctionStmt' in inner) return false;
    const relation =
      'CreateStmt' in inner
        ? inner.CreateStmt.relation
        : 'CreateTableAsStmt' in inner
          ? inner.CreateTableAsStmt.into?.rel
          : 'SelectStmt' in inner
            ? inner.SelectStmt.intoClause?.rel
            : 'ViewStmt' in inner
              ? inner.ViewStmt.view
              : 'CreateSeqStmt' in inner
                ? inner.CreateSeqStmt.sequence
                : undefined;
    if (relation !== undefined && isTemporary(relation)) names.push(relation.relname ?? '?');
    return true;
  });
  return names;
}

/** What the statement itself destroys, as far as its text says; not what functions or blocks in it do. */
export function destructionsOf(node: Node, temporary: ReadonlySet<string>): Found[] {
  return ofStatement(node).filter(({ object }) => !isOfTemporary(object, temporary));
}

function isOfTemporary(object: string, temporary: ReadonlySet<string>): boolean {
  const [first = '', ...rest] = object.split('.');
  return first === 'pg_temp' || (temporary.has(first) && rest.length <= 1);
}

function ofStatement(node: Node): Found[] {
  if ('DropStmt' in node) {
    const { removeType = '', objects, behavior } = node.DropStmt;
    const kind = DROPPED[removeType] ?? 'other';
    const cascade = behavior === 'DROP_CASCADE';
    if (cascade && HOLDS_UNNAMED_BY_CASCADE.has(removeType)) return [{ kind, object: '?', loss: 'data', cascade }];
    return (objects ?? []).map((object) => dropped(kind, nameOfDropped(object), cascade));
  }
  if ('DropOwnedStmt' in node) {
    return [{ kind: 'other', object: '?', loss: 'data', cascade: node.DropOwnedStmt.behavior === 'DROP_CASCADE' }];
  }
  if ('AlterTableStmt' in node) return ofAlterTable(node.AlterTableStmt);
  if ('AlterDomainStmt' in node) {
    const { subtype, typeName, name } = node.AlterDomainStmt;
    return subtype === 'X' ? [found('constraint', dotted(...words(typeName), name))] : [];
  }
  if ('TruncateStmt' in node) {
    const { relations, behavior } = node.TruncateStmt;
    return (relations ?? []).map((relation) =>
      found('rows', 'RangeVar' in relation ? relationName(relation.RangeVar) : '?', behavior === 'DROP_CASCADE'),
    );
  }
  return ofRows(node);
}

function dropped(kind: Kind, object: string, cascade: boolean): Found {
  const entry = found(kind, object, cascade);
  return kind === 'extension' && !WITHOUT_TABLES.has(object) ? { ...entry, loss: 'data' } : entry;
}

function nameOfDropped(object: Node): string {
  if ('List' in object) return dotted(...words(object.List.items));
  if ('String' in object) return object.String.sval ?? '?';
  if ('TypeName' in object) return dotted(...words(object.TypeName.names));
  if ('ObjectWithArgs' in object) return dotted(...words(object.ObjectWithArgs.objname));
  return '?';
}

function ofAlterTable(statement: Extract<Node, { AlterTableStmt: unknown }>['AlterTableStmt']): Found[] {
  const table = relationName(statement.relation);
  return (statement.cmds ?? []).flatMap((command): Found[] => {
    if (!('AlterTableCmd' in command)) return [];
    const { subtype, name, behavior, def } = command.AlterTableCmd;
    const cascade = behavior === 'DROP_CASCADE';
    switch (subtype) {
      case 'AT_DropColumn':
        return [found('column', dotted(table, name), cascade)];
      case 'AT_AlterColumnType':
        return [found('rewrite', dotted(table, name))];
      case 'AT_DropConstraint':
        return [found('constraint', dotted(table, name), cascade)];
      case 'AT_ColumnDefault':
        return def === undefined ? [found('default', dotted(table, name))] : [];
      case 'AT_DropIdentity':
      case 'AT_DropExpression':
        return [found('default', dotted(table, name))];
      default:
        return [];
    }
  });
}

/** Changes of rows stand anywhere a query can: in a CTE, under EXPLAIN ANALYZE, COPY or PREPARE. */
function ofRows(statement: Node): Found[] {
  const all: Found[] = [];
  walk(statement, (node) => {
    // Created, not run.
    if ('CreateFunctionStmt' in node || 'RuleStmt' in node || 'ViewStmt' in node) return false;
    if ('DeleteStmt' in node) all.push(found('rows', relationName(node.DeleteStmt.relation)));
    if ('UpdateStmt' in node) all.push(found('rewrite', relationName(node.UpdateStmt.relation)));
    if ('InsertStmt' in node && node.InsertStmt.onConflictClause?.action === 'ONCONFLICT_UPDATE') {
      all.push(found('rewrite', relationName(node.InsertStmt.relation)));
    }
    if ('MergeStmt' in node) {
      const table = relationName(node.MergeStmt.relation);
      for (const clause of node.MergeStmt.mergeWhenClauses ?? []) {
        if (!('MergeWhenClause' in clause)) continue;
        if (clause.MergeWhenClause.commandType === 'CMD_DELETE') all.push(found('rows', table));
        if (clause.MergeWhenClause.commandType === 'CMD_UPDATE') all.push(found('rewrite', table));
      }
    }
    return true;
  });
  return all;
}

const DROP_WORDS: readonly (readonly [RegExp, Kind])[] = [
  [/^(foreign\s+)?table\b/, 'table'],
  [/^column\b/, 'column'],
  [/^schema\b/, 'schema'],
  [/^(type|domain)\b/, 'type'],
  [/^sequence\b/, 'sequence'],
  [/^materialized\s+view\b/, 'materializedView'],
  [/^view\b/, 'view'],
  [/^(function|procedure|routine|aggregate)\b/, 'function'],
  [/^index\b/, 'index'],
  [/^constraint\b/, 'constraint'],
  [/^policy\b/, 'policy'],
  [/^trigger\b/, 'trigger'],
  [/^extension\b/, 'extension'],
  [/^(default|identity|expression|not\s+null)\b/, 'default'],
];

/**
 * What a text made at run time may destroy, by the words of its constant parts; for dynamic SQL and for languages that
 * nobody here can read. Errs on the side of asking: a DROP of something unnamed counts as content.
 */
export function destructionsInWords(constants: string): Found[] {
  const text = constants.replace(/--[^\n]*/g, ' ').toLowerCase();
  const all: Found[] = [];
  for (const { index } of text.matchAll(/\bdrop\s/g)) {
    const rest = text.slice(index + 'drop'.length).trimStart();
    const [pattern, kind] = DROP_WORDS.find(([pattern]) => pattern.test(rest)) ?? [/^/, 'other'];
    const entry = found(kind, nameIn(rest.replace(pattern, '')), /^[^;]*\bcascade\b/.test(rest));
    all.push(kind === 'other' ? { ...entry, loss: 'data' } : entry);
  }
  for (const { index, 0: verb } of text.matchAll(/\b(delete\s+from|truncate(\s+table)?)\b/g)) {
    all.push(found('rows', nameIn(text.slice(index + verb.length))));
  }
  // Not `for update`, `on update`, `before update of`: an UPDATE has its SET.
  for (const match of text.matchAll(
    /(?<!\b(?:for|on|or|before|after|do)\s+)\bupdate\s+(?!of\b|on\b|or\b)([^;]*?)\bset\b/g,
  )) {
    all.push(found('rewrite', nameIn(match[1] ?? '')));
  }
  for (const _ of text.matchAll(/\balter\s+(?:column\s+)?\S+\s+(?:set\s+data\s+)?type\b/g))
    all.push(found('rewrite', '?'));
  return all;
}

/** The name at the start of the text; `?` where part of it is put in at run time. */
function nameIn(text: string): string {
  const match =
    /^\s*(?:only\s+|concurrently\s+|if\s+exists\s+)*(?!(?:only|concurrently|if)\b)((?:[a-z_]\w*\.)*[a-z_]\w*)(?![\w%.])/.exec(
      text,
    );
  return match?.[1] ?? '?';
}

/** Each destruction once, in the order of the text. */
export function distinct(all: readonly Destruction[]): Destruction[] {
  const seen = new Map<string, Destruction>();
  for (const entry of all) {
    const key = [entry.kind, entry.object, entry.loss, entry.cascade, entry.certainty].join('\0');
    if (!seen.has(key)) seen.set(key, entry);
  }
  return [...seen.values()];
}
