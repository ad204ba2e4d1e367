import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parse } from 'yaml';
import { createDatabase, type TestDatabase } from './postgres.js';
import { repository } from './shared.js';

const SHOP = path.join(repository, 'examples', 'shop');
/** Those that the application uses. */
const DATABASES = ['frontend', 'orders'] as const;
type Name = (typeof DATABASES)[number];

export interface ShopSchema {
  readonly databases: Readonly<Record<Name, TestDatabase>>;
  /** Holds the connection strings, as the application and its deployer read them. */
  readonly folder: string;
  /** In the order in which they were published; a release with two labels once. */
  readonly releases: readonly string[];
  /** Runs the ups from the release where it stands to this one, with nothing of pg-unwind's, and the phone numbers' forward. */
  upTo(release: string): Promise<void>;
  drop(): Promise<void>;
}

interface Release {
  readonly label: string;
  readonly adds?: Readonly<Record<string, readonly number[]>>;
}

/** The shop's databases, empty: the first `upTo` begins with nothing. */
export async function openShopSchema(): Promise<ShopSchema> {
  const folder = mkdtempSync(path.join(tmpdir(), 'pg-unwind-shop-'));
  const databases = { frontend: await createDatabase(), orders: await createDatabase() };
  for (const name of DATABASES) writeFileSync(path.join(folder, `${name}.url`), `${databases[name].url}\n`);
  const all = readYaml<{ releases: Release[] }>('releases.yaml').releases;
  const releases = all.filter(({ adds }) => adds !== undefined);
  let next = 0;

  async function upTo(label: string): Promise<void> {
    const last = releases.findIndex((it) => it.label === label);
    for (; next <= last; next += 1) {
      const { adds = {}, label: reached } = releases[next] ?? {};
      for (const name of DATABASES) {
        for (const id of (adds[name] ?? []).toSorted((a, b) => a - b)) await runUp(databases[name], name, id);
      }
      if (reached === 'v2.1.0') await databases.orders.query(phonesForward(), [1_000_000, null]);
    }
  }

  return {
    databases,
    folder,
    releases: releases.map(({ label }) => label),
    upTo,
    async drop() {
      for (const name of DATABASES) await databases[name].drop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What the format reads, and Postgres does not. */
const FRONT_MATTER = /^-- \+\+\+$[^]*?^-- \+\+\+$/m;

async function runUp(database: TestDatabase, name: Name, id: number): Promise<void> {
  const parent = path.join(SHOP, 'migrations', name);
  const folder = readdirSync(parent).find((it) => it.startsWith(`${id}_`)) ?? String(id);
  const text = readFileSync(path.join(parent, folder, 'up.sql'), 'utf8').replace(FRONT_MATTER, '');
  const alone = /^(create|reindex).* concurrently/im.test(text);
  await database.query(alone ? text : `begin;\n${text}\n;commit`);
}

function phonesForward(): string {
  const { dataMigrations } = readYaml<{ dataMigrations: { id: number; sql?: { forward: string } }[] }>(
    'data-migrations.yaml',
  );
  const forward = dataMigrations.find(({ id }) => id === 1)?.sql?.forward;
  if (forward === undefined) throw new Error('data migration 1 of the shop has no forward query');
  return forward;
}

function readYaml<T>(file: string): T {
  return parse(readFileSync(path.join(SHOP, file), 'utf8')) as T;
}
