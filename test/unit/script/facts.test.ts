import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { losesData } from '../../../src/contract/script.js';
import { analyseScript } from '../../../src/postgres/script.js';

/** `kind object loss certainty`, with `cascade` where it is said. */
async function destroyed(text: string): Promise<string[]> {
  const { destroys } = await analyseScript(text);
  return destroys.map(({ kind, object, loss, certainty, cascade }) =>
    [kind, object, loss, certainty, ...(cascade ? ['cascade'] : [])].join(' '),
  );
}

async function notes(text: string): Promise<string[]> {
  return (await analyseScript(text)).notes.map(({ code }) => code);
}

describe('what a script destroys', () => {
  test.each([
    ['DROP TABLE IF EXISTS s.a, b CASCADE', ['table s.a data certain cascade', 'table b data certain cascade']],
    ['ALTER TABLE t DROP COLUMN a, DROP b CASCADE', ['column t.a data certain', 'column t.b data certain cascade']],
    ['ALTER TABLE t ALTER a TYPE int USING a::int', ['rewrite t.a data certain']],
    [
      'ALTER TABLE t DROP CONSTRAINT c, ALTER a DROP DEFAULT',
      ['constraint t.c structure certain', 'default t.a structure certain'],
    ],
    ['DELETE FROM t WHERE a', ['rows t data certain']],
    ['TRUNCATE a, s.b CASCADE', ['rows a data certain cascade', 'rows s.b data certain cascade']],
    ['UPDATE t SET a = 1', ['rewrite t data certain']],
    ['INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2', ['rewrite t data certain']],
    ['WITH x AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM x', ['rows t data certain']],
    ['MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE', ['rows t data certain']],
    ['DROP SCHEMA s', ['schema s structure certain']],
    ['DROP SCHEMA s CASCADE', ['schema s data certain cascade']],
    ['DROP TYPE s.e; DROP DOMAIN d CASCADE', ['type s.e structure certain', 'type d data certain cascade']],
    ['DROP SEQUENCE s', ['sequence s data certain']],
    ['DROP MATERIALIZED VIEW m', ['materializedView m structure certain']],
    ['DROP VIEW v; DROP INDEX i', ['view v structure certain', 'index i structure certain']],
    ['DROP FUNCTION s.f(int)', ['function s.f structure certain']],
    ['DROP POLICY p ON s.t; DROP TRIGGER g ON t', ['policy s.t.p structure certain', 'trigger t.g structure certain']],
    [
      'DROP EXTENSION "uuid-ossp"; DROP EXTENSION pg_trgm CASCADE',
      ['extension uuid-ossp structure certain', 'extension pg_trgm data certain cascade'],
    ],
    ['DROP EXTENSION pg_cron', ['extension pg_cron data certain']],
    ['DROP COLLATION c', ['other c structure certain']],
    ['DROP COLLATION c CASCADE', ['other ? data certain cascade']],
    ['SELECT lo_unlink(picture) FROM t', ['rows pg_catalog.pg_largeobject_metadata data certain']],
    ['CALL of_the_product()', ['other ? data unknown']],
  ])('%s', async (text, expected) => {
    expect(await destroyed(text)).toEqual(expected);
  });

  test.each([
    'ALTER TABLE t ADD COLUMN a int, ALTER a SET DEFAULT 1',
    'ALTER TABLE t RENAME COLUMN a TO b; ALTER TYPE e RENAME TO f; ALTER TYPE e ADD VALUE $$x$$',
    'INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING; SELECT * FROM t FOR UPDATE',
    "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DELETE FROM t'",
    'CREATE RULE r AS ON INSERT TO t DO INSTEAD DELETE FROM t',
    "SELECT 'DROP TABLE t'; COMMENT ON TABLE t IS 'DELETE FROM t'",
    'CREATE TEMP TABLE x AS SELECT 1; UPDATE x SET a = 1; DELETE FROM pg_temp.x; DROP TABLE x',
  ])('nothing: %s', async (text) => {
    expect(await destroyed(text)).toEqual([]);
  });

  test('is possible only, inside a block', async () => {
    const text = `DO $$BEGIN IF EXISTS (SELECT 1) THEN ALTER TABLE t DROP COLUMN a; END IF; END$$`;
    expect(await destroyed(text)).toEqual(['column t.a data possible']);
    expect(losesData(await analyseScript(text))).toBe(true);
  });

  test('is found in a function that the script creates and then calls, however deep', async () => {
    const text = `
      CREATE FUNCTION g() RETURNS void LANGUAGE sql AS $$DELETE FROM t$$;
      CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$BEGIN PERFORM g(); PERFORM f(); END$$;
      SELECT f();`;
    expect(await destroyed(text)).toEqual(['rows t data possible']);
  });

  test('is unknown in dynamic SQL, and named as far as the constant parts go', async () => {
    expect(await destroyed(`DO $$BEGIN EXECUTE format('DROP TABLE %I CASCADE', x); END$$`)).toEqual([
      'table ? data unknown cascade',
    ]);
    expect(await destroyed(`DO $$BEGIN EXECUTE 'UPDATE ' || x || ' SET a = 1'; END$$`)).toEqual([
      'rewrite ? data unknown',
    ]);
    expect(await destroyed(`DO $$BEGIN EXECUTE 'DELETE FROM t WHERE a = ' || x; END$$`)).toEqual([
      'rows t data unknown',
    ]);
    expect(await destroyed(`DO $$BEGIN EXECUTE format('DROP POLICY IF EXISTS %I ON t', x); END$$`)).toEqual([
      'policy ? structure unknown',
    ]);
    expect(await destroyed(`DO $$DECLARE q text; BEGIN q := 'TRUNCATE ' || x; EXECUTE q; END$$`)).toEqual([
      'rows ? data unknown',
    ]);
  });

  test('is read like any other SQL where a dynamic text is constant', async () => {
    expect(await destroyed(`DO $$BEGIN EXECUTE 'DROP VIEW v'; END$$`)).toEqual(['view v structure possible']);
    expect(
      await destroyed(`DO $$BEGIN EXECUTE 'CREATE TRIGGER g AFTER UPDATE ON t EXECUTE FUNCTION f()'; END$$`),
    ).toEqual([]);
  });

  test('is taken from the words of a language that nobody here reads', async () => {
    expect(await destroyed(`DO LANGUAGE plpython3u $$plpy.execute("DROP TABLE t")$$`)).toEqual([
      'table t data unknown',
    ]);
  });

  test('is listed once', async () => {
    expect(await destroyed('DELETE FROM t WHERE a; DELETE FROM t WHERE b')).toEqual(['rows t data certain']);
  });
});

describe('catalogs are counted afresh', () => {
  test.each([
    'DO $$BEGIN DROP TABLE t; EXCEPTION WHEN OTHERS THEN NULL; END$$',
    "DO $$BEGIN EXECUTE 'SELECT 1'; END$$",
    'SELECT f(1)',
    'SELECT s.now()',
    'DO $$BEGIN PERFORM f(1); END$$',
    'DO $$DECLARE x int; BEGIN x := f(1); END$$',
    'CALL p()',
    'CREATE TEMP TABLE x (a int)',
    'SELECT 1 AS a INTO TEMP x',
    'CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS $$SELECT 1$$',
  ])('after %s', async (text) => {
    expect((await analyseScript(text)).countAfresh).toBe(true);
  });

  test.each([
    "SELECT set_config('a.b', 'c', true), pg_catalog.setval('s', 1), coalesce(now(), current_timestamp)",
    'ALTER TABLE t ADD COLUMN a int DEFAULT f(1)',
    'DO $$BEGIN IF to_regclass($x$t$x$) IS NOT NULL THEN DROP TABLE t; END IF; END$$',
    'CREATE TABLE t AS SELECT 1 AS a',
  ])('not after %s', async (text) => {
    expect((await analyseScript(text)).countAfresh).toBe(false);
  });
});

describe('session state', () => {
  test.each([
    ['CREATE TEMP TABLE x (a int); COMMIT AND CHAIN; INSERT INTO x VALUES (1)', ['temporary relation x']],
    ['PREPARE p AS SELECT 1; COMMIT; EXECUTE p', ['prepared statement p']],
    ['DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT; FETCH c', ['cursor c']],
    ["SELECT nextval('s'); COMMIT; SELECT currval('s')", ['currval or lastval of a sequence']],
    ['CREATE TEMP TABLE x (a int); COMMIT; SELECT unknown_function()', ['temporary relation x']],
    ['DO $$BEGIN CREATE TEMP TABLE x (a int); END$$; COMMIT; SELECT * FROM x', ['temporary relation x']],
    ['SELECT pg_advisory_lock(1); COMMIT; SELECT 1', ['advisory lock']],
    ['DO $$BEGIN SET search_path = a; END$$; COMMIT; SELECT 1', ['setting made inside another statement']],
  ])('crosses a boundary: %s', async (text, expected) => {
    expect((await analyseScript(text)).sessionState).toEqual(expected);
  });

  test.each([
    'CREATE TEMP TABLE x (a int); INSERT INTO x VALUES (1)',
    'CREATE TEMP TABLE x (a int); SELECT * FROM x; COMMIT AND CHAIN; SELECT 2',
    'CREATE TEMP TABLE x (a int) ON COMMIT DROP; COMMIT AND CHAIN; SELECT 1 AS x',
    'DECLARE c CURSOR FOR SELECT 1; COMMIT; SELECT 1 AS c',
  ])('does not: %s', async (text) => {
    expect((await analyseScript(text)).sessionState).toEqual([]);
  });

  test('settings are kept in order, those of a transaction are not', async () => {
    const text =
      "SET search_path = a; SET LOCAL work_mem = 1; SELECT set_config('x.y', 'z', false); COMMIT; RESET search_path";
    const { settings } = await analyseScript(text);
    expect(settings.map(({ start, end }) => text.slice(start, end))).toEqual([
      'SET search_path = a',
      "SELECT set_config('x.y', 'z', false)",
      'RESET search_path',
    ]);
  });
});

describe('notes', () => {
  test.each([
    ['DO $$BEGIN NULL; EXCEPTION WHEN OTHERS THEN RAISE NOTICE $x$x$x$; END$$', ['swallowsErrors']],
    ['DO $$BEGIN NULL; EXCEPTION WHEN OTHERS THEN RAISE; END$$', []],
    ["DO $$BEGIN EXECUTE 'SELECT 1'; END$$", ['dynamicSql']],
    ['CREATE TEMP SEQUENCE s', ['tempObjects']],
    ['SET search_path = a', ['sessionSettings']],
    ['SET ROLE a', ['setsRole']],
    ['SET SESSION AUTHORIZATION a', ['setsRole']],
    ['LOCK TABLE t', ['mentionsLock']],
    ['SELECT pg_try_advisory_lock(1)', ['mentionsLock']],
  ])('%s', async (text, expected) => {
    expect(await notes(text)).toEqual(expected);
  });
});

test('units cover every statement once, in order, for any mixture', async () => {
  const parts = [
    'SELECT 1',
    "INSERT INTO ü VALUES ('é;')",
    'COMMIT AND CHAIN',
    'COMMIT',
    'BEGIN',
    'VACUUM',
    'CALL p()',
    '-- 😀\nDROP TABLE t',
  ];
  const control = new Set(['COMMIT AND CHAIN', 'COMMIT', 'BEGIN']);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...parts), { maxLength: 12 }), async (chosen) => {
      const text = chosen.join(';\n');
      const facts = await analyseScript(text);
      const bytes = Buffer.from(text, 'utf8');
      const sent = facts.units
        .map(({ span }) => bytes.toString('utf8', span.start, span.end))
        .filter((it) => it !== '');
      const again = await Promise.all(sent.map((it) => analyseScript(it)));
      expect(again.reduce((sum, { statements }) => sum + statements, 0)).toBe(
        chosen.filter((it) => !control.has(it)).length,
      );
      expect(facts.units.every((unit, i) => i === 0 || facts.units[i - 1]!.span.end <= unit.span.start)).toBe(true);
      expect(await analyseScript(text)).toEqual(facts);
    }),
  );
});
