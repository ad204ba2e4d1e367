import type { Node } from 'libpg-query';

import { walk, words } from './script-parse.js';

/**
 * Functions of pg_catalog that migrations call and that neither make objects nor undo anything. Whatever is not here may do
 * anything: its script's catalogs are counted afresh, which costs a few milliseconds and is never wrong.
 */
const BUILTIN: ReadonlySet<string> = new Set(
  `set_config current_setting setval nextval currval lastval pg_get_serial_sequence pg_sleep pg_notify
   now clock_timestamp statement_timestamp transaction_timestamp timezone date_trunc date_part extract age to_char
   to_timestamp to_date make_interval
   count sum min max avg bool_and bool_or array_agg string_agg json_agg jsonb_agg json_object_agg jsonb_object_agg
   row_number rank dense_rank lag lead first_value last_value
   format concat concat_ws quote_ident quote_literal quote_nullable lower upper initcap length char_length octet_length
   replace translate substring substr left right btrim ltrim rtrim split_part position strpos repeat lpad rpad reverse
   starts_with regexp_replace regexp_match regexp_matches regexp_split_to_array regexp_split_to_table overlay md5 sha256
   encode decode convert_to convert_from chr ascii to_hex
   abs ceil ceiling floor round trunc mod power sqrt random gen_random_uuid
   generate_series unnest array_length array_upper array_lower array_to_string string_to_array array_append array_cat
   array_prepend array_remove array_position cardinality
   to_json to_jsonb row_to_json json_build_object jsonb_build_object json_build_array jsonb_build_array jsonb_set
   jsonb_insert jsonb_strip_nulls jsonb_typeof json_typeof jsonb_array_elements jsonb_array_elements_text jsonb_each
   jsonb_each_text jsonb_object_keys jsonb_array_length jsonb_extract_path jsonb_extract_path_text json_array_elements
   to_regclass to_regtype to_regproc to_regprocedure to_regnamespace to_regrole format_type pg_table_is_visible
   pg_get_constraintdef pg_get_indexdef pg_get_functiondef pg_get_viewdef pg_get_triggerdef pg_get_expr obj_description
   col_description has_table_privilege has_schema_privilege has_database_privilege current_database current_schema
   current_schemas version pg_backend_pid pg_relation_size pg_total_relation_size txid_current pg_current_xact_id
   isfinite justify_interval hashtext xpath_exists to_tsvector to_tsquery setweight`.split(/\s+/),
);

/** Functions around advisory locks: a script that uses them meets the locks under which it runs itself. */
const ADVISORY = /^pg_(try_)?advisory_/;

export interface Call {
  /** Schema and name, folded. */
  readonly schema: string | null;
  readonly name: string;
  readonly args: readonly Node[];
}

/** Every function call of a tree, in the order of the text; bodies of functions that it creates are not run by it. */
export function callsIn(tree: Node): Call[] {
  const calls: Call[] = [];
  walk(tree, (node) => {
    if ('CreateFunctionStmt' in node || 'RuleStmt' in node || 'ViewStmt' in node) return false;
    if ('FuncCall' in node) {
      const parts = words(node.FuncCall.funcname);
      calls.push({ schema: parts.at(-2) ?? null, name: parts.at(-1) ?? '?', args: node.FuncCall.args ?? [] });
    }
    return true;
  });
  return calls;
}

export function isBuiltin(call: Call): boolean {
  if (call.schema === 'pg_catalog') return true;
  return call.schema === null && (BUILTIN.has(call.name) || ADVISORY.test(call.name));
}

export function isAdvisory(call: Call): boolean {
  return ADVISORY.test(call.name);
}

/** `set_config(name, value, false)`: a session setting in the dress of a query. Not constant counts as session-level. */
export function isSessionSetting(call: Call): boolean {
  const local = call.args[2];
  if (call.name !== 'set_config') return false;
  return !(local !== undefined && 'A_Const' in local && local.A_Const.boolval?.boolval === true);
}
