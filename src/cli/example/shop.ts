import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { stringify } from 'yaml';
import { buildCatalog } from '../../catalog/build.js';
import { writeCatalog } from '../../catalog/store.js';
import type { Catalog } from '../../contract/catalog.js';
import type { EmbeddedPostgres } from '../../postgres/embedded.js';

/** The example product on servers of our own: what `demo` tells its story about, and what `dev` offers without a configuration. */
export interface Shop {
  readonly configFile: string;
  readonly instance: string;
  readonly catalog: Catalog;
  /** Labels of the first and of the last release. */
  readonly oldest: string;
  readonly newest: string;
  readonly databases: readonly string[];
}

export interface ShopOptions {
  /** Catalog, configuration and connection strings are written here. */
  readonly folder: string;
  readonly instance: string;
  readonly postgres: ShopServer;
  readonly temporal: { readonly address: string; readonly namespace: string; readonly taskQueue?: string };
  /** Who is told of the turns of a run, and what the calls are signed with (a file, relative to `folder`). */
  readonly deployer?: { readonly hookUrl: string; readonly secretFile: string };
}

/** Its superuser's password is the ordinary role's too: this server holds nothing else. */
type ShopServer = Pick<EmbeddedPostgres, 'superuserUrl' | 'url' | 'password'>;

const SHOP = fileURLToPath(new URL('../../../examples/shop/', import.meta.url));
/** An ordinary role that owns its databases, as on a managed Postgres. */
const ROLE = 'shop';
/** Short, so that the death of a worker is noticed while one is watching. */
const HEARTBEAT_TIMEOUT_SECONDS = 5;

/** Builds the catalog and writes the configuration; makes the role and the databases where they are missing. */
export async function setUpShop(options: ShopOptions): Promise<Shop> {
  const { folder, instance, postgres } = options;
  const catalog = await buildShopCatalog(folder);
  const databases = catalog.databases.map(({ name }) => name);
  await createDatabases(postgres, instance, databases);
  const configFile = await writeConfig(options, databases);
  const labels = catalog.labels.map(({ label }) => label);
  return { configFile, instance, catalog, oldest: labels[0] ?? '', newest: labels.at(-1) ?? '', databases };
}

async function buildShopCatalog(folder: string): Promise<Catalog> {
  const releases = path.join(folder, 'releases');
  await promisify(execFile)(process.execPath, [path.join(SHOP, 'build-releases.mjs'), releases]);
  const built = await buildCatalog({ format: 'sourcegraph', source: releases, path: 'migrations', product: 'shop' });
  await writeCatalog(path.join(folder, 'catalog'), built);
  return built.catalog;
}

async function createDatabases(postgres: ShopServer, instance: string, databases: readonly string[]): Promise<void> {
  await withClient(postgres.superuserUrl, async (client) => {
    const has = async (text: string, name: string) => ((await client.query(text, [name])).rowCount ?? 0) > 0;
    if (!(await has(ROLE_EXISTS, ROLE))) {
      await client.query(`create role ${ROLE} login password ${client.escapeLiteral(postgres.password)}`);
    }
    for (const database of databases) {
      if (await has(DATABASE_EXISTS, databaseName(instance, database))) continue;
      await client.query(`create database ${client.escapeIdentifier(databaseName(instance, database))} owner ${ROLE}`);
    }
  });
}

const ROLE_EXISTS = `-- pg-unwind example.role-exists
select 1 from pg_roles where rolname = $1`;
const DATABASE_EXISTS = `-- pg-unwind example.database-exists
select 1 from pg_database where datname = $1`;

/** `shop_demo_frontend` */
function databaseName(instance: string, database: string): string {
  return `${instance.replaceAll('-', '_')}_${database}`;
}

async function writeConfig(options: ShopOptions, databases: readonly string[]): Promise<string> {
  const secrets = path.join(options.folder, 'secrets');
  await mkdir(secrets, { recursive: true, mode: 0o700 });
  for (const database of databases) {
    const url = options.postgres.url(databaseName(options.instance, database), ROLE, options.postgres.password);
    await writeFile(path.join(secrets, `${database}.url`), `${url}\n`, { mode: 0o600 });
  }
  const file = path.join(options.folder, 'pg-unwind.yaml');
  await writeFile(file, configText(options, databases));
  return file;
}

function configText(options: ShopOptions, databases: readonly string[]): string {
  const { address, namespace, taskQueue } = options.temporal;
  const { hooks, writers } = inTurns(options);
  const perDatabase = <T>(of: (database: string) => T) => Object.fromEntries(databases.map((it) => [it, of(it)]));
  return stringify({
    temporal: { address, namespace, ...(taskQueue === undefined ? {} : { taskQueue }) },
    products: {
      shop: {
        catalog: 'catalog',
        ledger: { kind: 'sourcegraph' },
        releaseMarker: { kind: 'sourcegraph', database: 'frontend' },
        databases: perDatabase((it) => ({
          ledgerKey: it === 'frontend' ? 'schema_migrations' : `${it}_schema_migrations`,
        })),
      },
    },
    instances: {
      [options.instance]: {
        product: 'shop',
        databases: perDatabase((it) => ({ url: { file: `secrets/${it}.url` } })),
        options: { heartbeatTimeoutSeconds: HEARTBEAT_TIMEOUT_SECONDS, ...writers },
        ...hooks,
      },
    },
  });
}

/**
 * The application is stopped before the databases move, and the older one started where they stand. Should a session of it stay,
 * no leg begins beside it.
 */
function inTurns({ deployer }: ShopOptions): { readonly hooks: object; readonly writers: object } {
  if (deployer === undefined) return { hooks: {}, writers: {} };
  const webhook = { url: deployer.hookUrl, secret: { file: deployer.secretFile } };
  return {
    hooks: { hooks: { before: { webhook }, atStop: { webhook }, after: { webhook } } },
    writers: { writers: { policy: 'wait' } },
  };
}

/** Fills the databases, which stand at the newest release, with a few years of trade. @returns rows written. */
export async function seedShop(postgres: ShopServer, { instance, databases }: Shop): Promise<number> {
  const counts = await Promise.all(
    databases.map(async (database) => {
      const text = await readFile(path.join(SHOP, 'seed', `${database}.sql`), 'utf8');
      return withClient(postgres.url(databaseName(instance, database), ROLE, postgres.password), async (client) => {
        const results = [await client.query(text)].flat(); // a text of several statements answers with a list
        return results.reduce((sum, result) => sum + (result.command === 'INSERT' ? (result.rowCount ?? 0) : 0), 0);
      });
    }),
  );
  return counts.reduce((sum, rows) => sum + rows, 0);
}

/** What the journal and the rows say of the shop's data migration, once it was taken back. */
export interface PhonesMoved {
  readonly rows: number;
  readonly batches: number;
  /** Phone numbers by their form now. */
  readonly older: number;
  readonly newer: number;
}

export async function readPhones(postgres: ShopServer, { instance }: Shop): Promise<PhonesMoved | null> {
  const url = postgres.url(databaseName(instance, 'orders'), ROLE, postgres.password);
  return withClient(url, async (client) => (await client.query<PhonesMoved>(PHONES_MOVED)).rows[0] ?? null);
}

const PHONES_MOVED = `-- pg-unwind example.phones-moved
select d.rows::integer, d.batches::integer,
       (select count(*)::integer from customers where phone like '% %') as older,
       (select count(*)::integer from customers where phone not like '% %') as newer
  from pgunwind.data_step d
 where d.act = 'reverse' and d.state = 'done'
 order by d.finished_at desc
 limit 1`;

async function withClient<T>(connectionString: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString, application_name: 'pg-unwind example' });
  client.on('error', () => undefined); // the query in progress rejects with the same
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
