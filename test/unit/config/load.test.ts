import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { findInstance, findProduct } from '../../../src/config/instances.js';
import { loadConfig, parseConfig } from '../../../src/config/load.js';
import { UnwindError } from '../../../src/contract/errors.js';

const GOOD = `
products:
  shop:
    catalog: ./catalog/shop
    ledger: { kind: sourcegraph }
    releaseMarker: { kind: sourcegraph, database: frontend, service: frontend }
    databases:
      frontend: { ledgerKey: schema_migrations }
      orders: { ledgerKey: orders_schema_migrations }
instances:
  acme-eu:
    product: shop
    labels: { region: eu }
    databases:
      frontend: { url: { env: ACME_FRONTEND_URL } }
      orders: { url: { file: secrets/orders }, privilegedUrl: { command: [pass, show, orders] } }
    options: { lockTimeoutMs: 250 }
`;

const folder = mkdtempSync(path.join(os.tmpdir(), 'pg-unwind-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

const parse = (text: string) => parseConfig(text, '/etc/pg-unwind/pg-unwind.yaml');

function failureOf(work: () => unknown): UnwindError {
  try {
    work();
  } catch (error) {
    if (error instanceof UnwindError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

const problemsOf = (text: string) =>
  failureOf(() => parse(text)).details['problems'] as { path: string; line: number; message: string }[];

describe('a configuration', () => {
  test('gets its defaults, and paths that are relative to its own folder', () => {
    const config = parse(GOOD);
    expect(config.temporal).toEqual({ taskQueue: 'pg-unwind', encryption: null });
    expect(config.worker).toEqual({
      maxConcurrentActivities: 50,
      shutdownGraceSeconds: 30,
      metricsAddress: null,
      healthAddress: null,
    });
    const instance = findInstance(config, 'acme-eu');
    expect(instance.product.name).toBe('shop');
    expect(instance.product.catalog).toBe('/etc/pg-unwind/catalog/shop');
    expect(instance.databases['orders']).toEqual({
      url: { kind: 'file', path: '/etc/pg-unwind/secrets/orders' },
      privilegedUrl: { kind: 'command', argv: ['pass', 'show', 'orders'] },
    });
    expect(instance.options).toMatchObject({
      lockTimeoutMs: 250,
      statementTimeoutMs: 0,
      blockers: 'wait',
      verify: 'final',
      data: { batchTargetMs: 500, maxReplicationLagSeconds: null, maxLoad: null, pauseWhenLocksWait: true },
    });
  });

  test('has a load for data migrations with both its query and its limit, or none', () => {
    const problems = problemsOf(`
products:
  shop: { catalog: ./c, ledger: { kind: sourcegraph }, databases: { frontend: { ledgerKey: x } } }
instances:
  acme:
    product: shop
    databases: { frontend: { url: { env: A } } }
    options: { data: { maxLoad: { query: select 1 }, mostBatchRow: 5 } }
`);
    expect(problems.map(({ path: at }) => at).sort()).toEqual([
      'instances.acme.options.data.maxLoad.limit',
      'instances.acme.options.data.mostBatchRow',
    ]);
    expect(problems.at(-1)?.message).toContain('did you mean "mostBatchRows"');
  });

  test('may be empty', () => {
    expect(parse('').instances).toEqual({});
  });

  test('is read from the file given, else from PG_UNWIND_CONFIG, else from the working folder', () => {
    for (const [name, queue] of [
      ['given', 'a'],
      ['variable', 'b'],
      ['.', 'c'],
    ] as const) {
      mkdirSync(path.join(folder, name), { recursive: true });
      writeFileSync(path.join(folder, name, 'pg-unwind.yaml'), `temporal: { taskQueue: ${queue} }`);
    }
    const env = { PG_UNWIND_CONFIG: 'variable/pg-unwind.yaml' };
    expect(loadConfig('given/pg-unwind.yaml', { cwd: folder, env }).temporal.taskQueue).toBe('a');
    expect(loadConfig(undefined, { cwd: folder, env }).temporal.taskQueue).toBe('b');
    expect(loadConfig(undefined, { cwd: folder, env: {} }).temporal.taskQueue).toBe('c');
  });

  test('that is not there is an error that says how to name one', () => {
    const failure = failureOf(() => loadConfig(undefined, { cwd: path.join(folder, 'given', '..', 'none'), env: {} }));
    expect(failure.type).toBe('InvalidConfig');
    expect(failure.message).toContain('--config or PG_UNWIND_CONFIG');
  });

  test('tells all its problems at once, each with its line, its path and the nearest known name', () => {
    const problems = problemsOf(`
worker: { maxConcurrentActivites: 3, shutdownGraceSeconds: soon }
products:
  shop:
    catalog: ./catalog
    ledger: { kind: goose }
    releaseMarker: { kind: sourcegraph, database: fronted }
    databases:
      frontend: { ledgerkey: schema_migrations }
      orders: { ledgerKey: x }
instances:
  acme/eu:
    product: shp
    databases: {}
  acme-us:
    product: shop
    databases:
      order: { url: { env: A, file: b } }
      frontend: { url: { evn: A } }
    options: { blockers: kill }
`);
    expect(problems.map(({ path: at, line }) => `${line} ${at}`).sort()).toEqual(
      [
        '2 worker.maxConcurrentActivites',
        '2 worker.shutdownGraceSeconds',
        '6 products.shop.ledger.kind',
        '7 products.shop.releaseMarker.database',
        '9 products.shop.databases.frontend.ledgerKey',
        '9 products.shop.databases.frontend.ledgerkey',
        '12 instances.acme/eu',
        '13 instances.acme/eu.product',
        '17 instances.acme-us.databases',
        '18 instances.acme-us.databases.order',
        '18 instances.acme-us.databases.order.url',
        '19 instances.acme-us.databases.frontend.url.evn',
        '20 instances.acme-us.options.blockers',
      ].sort(),
    );
    const said = (at: string) => problems.find((problem) => problem.path === at)?.message;
    expect(said('worker.maxConcurrentActivites')).toBe('unknown key; did you mean "maxConcurrentActivities"?');
    expect(said('worker.shutdownGraceSeconds')).toBe('is a text; it must be a number');
    expect(said('products.shop.databases.frontend.ledgerKey')).toBe('is missing; it must be a text');
    expect(said('instances.acme/eu.product')).toBe('there is no product "shp"; did you mean "shop"?');
    expect(said('instances.acme-us.databases.order')).toContain('did you mean "orders"?');
    expect(said('instances.acme-us.databases.order.url')).toContain('has "env" and "file"');
    expect(said('instances.acme-us.databases')).toContain('database "orders" of product "shop" is missing');
  });

  test('that is not YAML, or says a key twice, is refused with the line', () => {
    expect(problemsOf('a: b\nproducts: {\n')[0]?.message).toContain('is not YAML');
    expect(problemsOf('worker: {}\nworker: {}')[0]).toMatchObject({ line: 2 });
  });

  test('refuses a connection string, and does not repeat it', () => {
    const secret = 'postgres://app:hunter2@db:5432/frontend';
    const failure = failureOf(() => parse(GOOD.replace('{ env: ACME_FRONTEND_URL }', secret)));
    expect(failure.message).toContain('a connection string does not belong in this file');
    expect(JSON.stringify([failure.message, failure.details, failure.stack])).not.toContain('hunter2');
  });

  test('takes a URL without a password as it is', () => {
    const url = 'postgres://app@db:5432/frontend';
    const config = parse(GOOD.replace('{ env: ACME_FRONTEND_URL }', url));
    expect(findInstance(config, 'acme-eu').databases['frontend']?.url).toEqual({ kind: 'url', url });
    expect(problemsOf(GOOD.replace('{ env: ACME_FRONTEND_URL }', `${url}?password=x`))).toHaveLength(1);
  });
});

describe('an instance that is not there', () => {
  test('is an error with the nearest names', () => {
    const failure = failureOf(() => findInstance(parse(GOOD), 'acme-ue'));
    expect(failure.type).toBe('UnknownInstance');
    expect(failure.message).toMatch(
      /There is no instance "acme-ue" in .*; did you mean "acme-eu"\? Nothing was done\.$/,
    );
  });

  test('in an empty configuration is told so', () => {
    expect(failureOf(() => findInstance(parse(''), 'x')).message).toMatch(
      /; it names no instance\. Nothing was done\.$/,
    );
    expect(failureOf(() => findProduct(parse(''), 'x')).type).toBe('UnknownProduct');
  });

  test('is not found by a name that every object has', () => {
    expect(failureOf(() => findInstance(parse(GOOD), 'constructor')).type).toBe('UnknownInstance');
  });
});
