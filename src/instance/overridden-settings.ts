/** A setting of the role or the database that our sessions replace. */
export interface OverriddenSetting {
  readonly name: string;
  readonly value: string;
  /** What our sessions run with. */
  readonly ours: string;
  readonly ofRole: boolean;
  readonly ofDatabase: boolean;
}

/** Settings that our sessions set themselves (postgres/session-options.ts) and that would end or change a step if they did not. */
export const OVERRIDDEN = [
  'statement_timeout',
  'transaction_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'client_connection_check_interval',
  'default_transaction_isolation',
  'default_transaction_read_only',
  'default_transaction_deferrable',
  'standard_conforming_strings',
] as const;

/**
 * As a column of the survey's one query, whose session is one of ours: `current_setting` is what a step gets.
 * @param names the query's parameter that holds OVERRIDDEN.
 */
export const overriddenSettings = (names: string) => `(
  select coalesce(jsonb_agg(jsonb_build_object(
           'name', x.name, 'value', x.value, 'ours', coalesce(current_setting(x.name, true), ''),
           'ofRole', x.setrole <> 0, 'ofDatabase', x.setdatabase <> 0) order by x.name, x.setrole, x.setdatabase), '[]')
    from (select split_part(c.setting, '=', 1) as name, substr(c.setting, strpos(c.setting, '=') + 1) as value, s.setrole, s.setdatabase
            from pg_db_role_setting s
           cross join unnest(s.setconfig) c (setting)
           where s.setrole in (0, (select r.oid from pg_roles r where r.rolname = session_user))
             and s.setdatabase in (0, (select d.oid from pg_database d where d.datname = current_database()))) x
   where x.name = any (${names}) and x.value is distinct from current_setting(x.name, true))`;

export function overriddenWarning(database: string, role: string, setting: OverriddenSetting): string {
  const { name, value, ours, ofRole, ofDatabase } = setting;
  const whose = [ofRole ? `the role "${role}"` : null, ofDatabase ? 'the database' : null].filter(
    (part) => part !== null,
  );
  return `${database}: ${name} = ${value} is set for ${whose.join(' in ')}; the sessions of this run override it (${name} = ${ours}).`;
}
