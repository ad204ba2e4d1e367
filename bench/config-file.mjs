import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { stringify } from 'yaml';
import { loadConfig } from './product.mjs';

/** A dead worker is noticed after this time; the shortest that the configuration takes. */
export const HEARTBEAT_TIMEOUT_SECONDS = 5;

/**
 * Writes `pg-unwind.yaml` for instances of one subject. `instances`: name → { database: url }. A product of its own for each
 * set of databases: an instance has all of its product's.
 */
export async function writeConfig({ folder, temporal, subject, instances }) {
  const secrets = path.join(folder, 'secrets');
  await mkdir(secrets, { recursive: true, mode: 0o700 });
  const products = {};
  const entries = {};
  for (const [instance, urls] of Object.entries(instances)) {
    const databases = Object.keys(urls);
    const product = `${subject.name.replaceAll(' ', '-')}-${databases.length}`;
    products[product] ??= {
      catalog: subject.directory,
      ledger: { kind: 'sourcegraph' },
      ...(databases.includes('frontend') ? { releaseMarker: { kind: 'sourcegraph', database: 'frontend' } } : {}),
      databases: Object.fromEntries(databases.map((name) => [name, { ledgerKey: subject.ledgerKey(name) }])),
    };
    entries[instance] = {
      product,
      databases: {},
      options: { heartbeatTimeoutSeconds: HEARTBEAT_TIMEOUT_SECONDS },
    };
    for (const [database, url] of Object.entries(urls)) {
      const file = path.join(secrets, `${instance}-${database}.url`);
      await writeFile(file, `${url}\n`, { mode: 0o600 });
      entries[instance].databases[database] = { url: { file } };
    }
  }
  const file = path.join(folder, 'pg-unwind.yaml');
  const { address, namespace } = temporal;
  await writeFile(file, stringify({ temporal: { address, namespace }, products, instances: entries }));
  return loadConfig(file);
}
