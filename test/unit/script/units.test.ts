import { describe, expect, test } from 'vitest';

import type { Unit } from '../../../src/contract/script.js';
import { analyseScript, ScriptSyntaxError } from '../../../src/postgres/script.js';

/** What each unit would send: its kind and its words. */
async function unitsOf(text: string): Promise<string[]> {
  const bytes = Buffer.from(text, 'utf8');
  const { units } = await analyseScript(text);
  return units.map((unit: Unit) => `${unit.kind}: ${bytes.toString('utf8', unit.span.start, unit.span.end)}`);
}

async function executionOf(text: string) {
  return (await analyseScript(text)).execution;
}

async function actionsOf(text: string) {
  const { units } = await analyseScript(text);
  return units.map((unit) => (unit.kind === 'alone' ? unit.action : unit.kind));
}

describe('a script without boundaries', () => {
  test('is one transaction', async () => {
    expect(await unitsOf('CREATE TABLE a (b int); DROP TABLE c;')).toEqual([
      'transaction: CREATE TABLE a (b int); DROP TABLE c',
    ]);
    expect(await executionOf('SELECT 1')).toBe('atomic');
  });

  test('is empty when it has nothing but comments', async () => {
    for (const text of ['', '  \n', '-- nothing', '/* nothing; */ ;;']) {
      const facts = await analyseScript(text);
      expect(facts, text).toMatchObject({ execution: 'empty', units: [], statements: 0, refused: null });
    }
  });

  test('loses its own outer BEGIN and COMMIT', async () => {
    expect(await unitsOf('BEGIN; SELECT 1; SELECT 2; COMMIT;')).toEqual(['transaction: SELECT 1; SELECT 2']);
    expect(await unitsOf('START TRANSACTION; SELECT 1; END')).toEqual(['transaction: SELECT 1']);
    expect(await executionOf('BEGIN; SELECT 1; COMMIT;')).toBe('atomic');
    expect(await executionOf('BEGIN; COMMIT;')).toBe('empty');
  });

  test('is cut in bytes, not in characters', async () => {
    expect(await unitsOf("-- Größe 😀\nSELECT 'é😀'; COMMIT AND CHAIN; SELECT 'ü'")).toEqual([
      "transaction: SELECT 'é😀'",
      "transaction: SELECT 'ü'",
    ]);
  });

  test('keeps words of transaction control in strings, comments and bodies', async () => {
    const text =
      "SELECT 'COMMIT AND CHAIN;'; -- COMMIT;\nDO $$BEGIN RAISE NOTICE 'commit;'; END$$; SELECT $x$;ROLLBACK;$x$";
    expect(await executionOf(text)).toBe('atomic');
    expect((await analyseScript(text)).statements).toBe(3);
  });

  test('takes percent signs and dollar numbers as they stand', async () => {
    expect(await unitsOf("SELECT '100%', '%s %1$I', '$1'")).toEqual(["transaction: SELECT '100%', '%s %1$I', '$1'"]);
  });

  test('may set savepoints, and is then counted afresh', async () => {
    const facts = await analyseScript('SAVEPOINT a; DROP TABLE b; ROLLBACK TO a; RELEASE a;');
    expect(facts).toMatchObject({ execution: 'atomic', statements: 4, countAfresh: true, refused: null });
  });
});

describe('a script that ends transactions', () => {
  test('has one unit more than COMMIT AND CHAIN, an empty last one included', async () => {
    expect(await unitsOf('SELECT 1; COMMIT AND CHAIN; SELECT 2; COMMIT AND CHAIN;')).toEqual([
      'transaction: SELECT 1',
      'transaction: SELECT 2',
      'transaction: ',
    ]);
    expect(await unitsOf('COMMIT AND CHAIN; SELECT 1')).toEqual(['transaction: ', 'transaction: SELECT 1']);
  });

  test('is cut at COMMIT followed by BEGIN, and at a bare COMMIT', async () => {
    const two = ['transaction: SELECT 1', 'transaction: SELECT 2'];
    expect(await unitsOf('SELECT 1; COMMIT; BEGIN; SELECT 2')).toEqual(two);
    expect(await unitsOf('BEGIN; SELECT 1; COMMIT; START TRANSACTION; SELECT 2; COMMIT;')).toEqual(two);
    expect(await unitsOf('SELECT 1; COMMIT; SELECT 2')).toEqual(two);
    expect(await executionOf('SELECT 1; COMMIT; SELECT 2')).toBe('segmented');
  });

  test.each([
    'DELETE FROM a; ROLLBACK;',
    'ABORT; SELECT 1',
    "PREPARE TRANSACTION 'a'",
    "ROLLBACK PREPARED 'a'",
    "COMMIT PREPARED 'a'",
    'BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1; COMMIT',
    'BEGIN READ ONLY; SELECT 1; COMMIT',
    'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1',
    'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY',
    'SET default_transaction_read_only = on',
    'DISCARD ALL',
    'COPY a FROM STDIN',
    'CREATE DATABASE a',
    'DROP TABLESPACE a',
    "CREATE SUBSCRIPTION a CONNECTION 'b' PUBLICATION c",
    'ALTER SUBSCRIPTION a ADD PUBLICATION b',
    'DROP INDEX CONCURRENTLY a, b',
    'SELECT pg_advisory_unlock_all()',
    'DO $$BEGIN PERFORM pg_advisory_unlock_all(); END$$',
  ])('is refused with a reason and a cure: %s', async (text) => {
    const { refused } = await analyseScript(text);
    expect(refused).toMatch(/\. .*\.$/);
  });

  test('may name the isolation level that steps have anyway', async () => {
    expect((await analyseScript('BEGIN ISOLATION LEVEL READ COMMITTED; SELECT 1; COMMIT')).refused).toBeNull();
  });
});

describe('a statement that refuses a transaction', () => {
  test('stands alone between the transactions of its neighbours', async () => {
    const text = 'DROP VIEW v; CREATE INDEX CONCURRENTLY i ON t (a); COMMENT ON TABLE t IS NULL; SELECT 1';
    expect(await unitsOf(text)).toEqual([
      'transaction: DROP VIEW v',
      'alone: CREATE INDEX CONCURRENTLY i ON t (a)',
      'transaction: COMMENT ON TABLE t IS NULL; SELECT 1',
    ]);
    expect(await executionOf(text)).toBe('concurrent');
  });

  test('says what the catalogs must show when it is done', async () => {
    const text = `
      CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "I" ON s.t (a);
      CREATE INDEX CONCURRENTLY ON t (a);
      DROP INDEX CONCURRENTLY IF EXISTS s.i;
      REINDEX INDEX CONCURRENTLY i;
      REINDEX (CONCURRENTLY, VERBOSE) TABLE s.t;
      ALTER TABLE p DETACH PARTITION q CONCURRENTLY;`;
    const t = { schema: 's', name: 't' };
    expect(await actionsOf(text)).toEqual([
      { kind: 'createIndex', index: 'I', table: t, ifNotExists: true },
      { kind: 'createIndex', index: null, table: { schema: null, name: 't' }, ifNotExists: false },
      { kind: 'dropIndex', index: { schema: 's', name: 'i' }, ifExists: true },
      { kind: 'reindex', what: 'index', object: { schema: null, name: 'i' } },
      { kind: 'reindex', what: 'table', object: t },
      { kind: 'detachPartition', parent: { schema: null, name: 'p' }, partition: { schema: null, name: 'q' } },
    ]);
  });

  test('may be repeated when nothing needs to be probed', async () => {
    const text = 'VACUUM t; REINDEX SCHEMA s; REINDEX DATABASE d; CLUSTER; ALTER SYSTEM SET work_mem = 1';
    expect((await actionsOf(text)).map((action) => (typeof action === 'string' ? action : action.kind))).toEqual(
      Array.from({ length: 5 }, () => 'repeatable'),
    );
  });

  test('is not one without CONCURRENTLY, or with it switched off', async () => {
    const text = 'REINDEX TABLE t; REINDEX (CONCURRENTLY off) INDEX i; CLUSTER t; ANALYZE; DROP INDEX i';
    expect(await executionOf(text)).toBe('atomic');
  });
});

describe('code that commits where nobody can look', () => {
  test.each([
    ['a DO block that commits', 'DO $$BEGIN DELETE FROM t; COMMIT; END$$'],
    ['a DO block that rolls back in a loop', 'DO $$BEGIN LOOP ROLLBACK; END LOOP; END$$'],
    ['a procedure that the script does not create', 'CALL p(1)'],
    ['a DO block that calls such a procedure', 'DO $$BEGIN CALL p(); END$$'],
    ['another language with the word', "DO LANGUAGE plpython3u 'plpy.commit()'"],
    [
      'a procedure of the script that commits',
      'CREATE PROCEDURE p() LANGUAGE plpgsql AS $$BEGIN COMMIT; END$$; CALL p()',
    ],
  ])('%s is opaque', async (_, text) => {
    const { execution, units } = await analyseScript(text);
    expect(execution).toBe('opaque');
    expect(units.at(-1)?.kind).toBe('opaque');
  });

  test.each([
    ['a DO block without COMMIT', 'DO $$BEGIN DELETE FROM t; END$$'],
    ['a column of that name', 'DO $$BEGIN UPDATE t SET "commit" = 1; END$$'],
    ['a procedure of the script that does not commit', 'CREATE PROCEDURE p() LANGUAGE sql AS $$SELECT 1$$; CALL p()'],
    ['a procedure that is created but not called', 'CREATE PROCEDURE p() LANGUAGE plpgsql AS $$BEGIN COMMIT; END$$'],
    [
      'a function, which cannot end transactions',
      'CREATE FUNCTION f() RETURNS int[] LANGUAGE plpgsql AS $$BEGIN COMMIT; END$$; SELECT f()',
    ],
  ])('%s is not', async (_, text) => {
    expect(await executionOf(text)).toBe('atomic');
  });

  test('stands between the transactions of its neighbours', async () => {
    expect(await unitsOf('SELECT 1; CALL p(); SELECT 2')).toEqual([
      'transaction: SELECT 1',
      'opaque: CALL p()',
      'transaction: SELECT 2',
    ]);
  });
});

describe('a text that is not SQL', () => {
  test.each([
    ['SELECT 1;\nSELEC 2', 2, 1],
    ["SELECT '😀é', FROM FROM t", 1, 14],
    ['SELECT 1;\n\\i other.sql', 2, 1],
    ['SELECT 1; /* no end', 1, 11],
    ['SELECT 1;\0 DROP TABLE t', 1, 10],
  ])('is reported by line and column: %j', async (text, line, column) => {
    const error = await analyseScript(text).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(ScriptSyntaxError);
    expect(error).toMatchObject({ line, column });
  });

  test('says so when it is a command of psql', async () => {
    await expect(analyseScript('\\connect other')).rejects.toThrow('psql meta-command "\\connect"');
  });
});
