import { catalogVersion, openCatalog, type OpenCatalog } from '../catalog/store.js';
import { findInstance, type Instance } from '../config/instances.js';
import type { Config } from '../config/schema.js';
import { resolveConnection } from '../config/secrets.js';
import type { DatabaseName } from '../contract/catalog.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import { ensureJournal } from '../journal/install.js';
import type { LedgerOptions } from '../journal/ledgers/ledger.js';
import { markerFunctionSql, type MarkerOptions } from '../journal/ledgers/release-marker.js';
import { sourcegraphLedger } from '../journal/ledgers/sourcegraph.js';
import { lackingJournal, lacksJournal } from '../journal/missing.js';
import { createSessionPool, type SessionPool } from '../postgres/session-pool.js';
import { DEFAULT_SETTINGS, type SessionSettings } from '../postgres/session.js';
import type { InstanceDatabase } from '../step/database.js';
import { standbyBehind } from '../step/server.js';

export interface OpenInstance {
  readonly config: Instance;
  /** In the order of the product's configuration. */
  readonly databases: readonly InstanceDatabase[];
  /** @throws {UnwindError} UnknownInstance naming the databases there are. */
  database(name: DatabaseName): InstanceDatabase;
  catalog(): Promise<OpenCatalog>;
}

export interface Instances {
  /** @throws {UnwindError} UnknownInstance, UnknownProduct. */
  open(name: string): OpenInstance;
  close(): Promise<void>;
}

/** The functions of the journal that depend on the product's own tables. */
function functionsOf(ledger: LedgerOptions, marker: MarkerOptions | null): string {
  return [sourcegraphLedger.functionsSql(ledger), ...(marker === null ? [] : [markerFunctionSql(marker)])].join('\n');
}

/** Opens instances once each and keeps their warm sessions; connection strings are fetched anew at each connect. */
export function createInstances({ config, env }: { config: Config; env?: NodeJS.ProcessEnv }): Instances {
  const opened = new Map<string, { instance: OpenInstance; pools: SessionPool[] }>();
  const catalogs = new Map<string, { readonly version: string | null; readonly catalog: Promise<OpenCatalog> }>();

  /** Read once, and again when it has been built again: whoever corrects a query or adds a release then starts again, on this worker. */
  async function catalogOf(directory: string): Promise<OpenCatalog> {
    const version = await catalogVersion(directory);
    const known = catalogs.get(directory);
    if (known !== undefined && (version === null || version === known.version)) return known.catalog;
    const opened = { version, catalog: openCatalog(directory) };
    catalogs.set(directory, opened);
    opened.catalog.catch(() => catalogs.get(directory) === opened && catalogs.delete(directory)); // built later, it is found later
    return opened.catalog;
  }

  function openInstance(name: string): { instance: OpenInstance; pools: SessionPool[] } {
    const instance = findInstance(config, name);
    const { product, options } = instance;
    const settings: SessionSettings = {
      ...DEFAULT_SETTINGS,
      lockTimeoutMs: options.lockTimeoutMs,
      statementTimeoutMs: options.statementTimeoutMs,
      // A query of ours may have to wait for a lock before it is answered.
      queryTimeoutMs: DEFAULT_SETTINGS.queryTimeoutMs + options.lockTimeoutMs,
    };
    const pools: SessionPool[] = [];
    const pool = (reference: Parameters<typeof resolveConnection>[0], of: string, warm?: number) => {
      const made = createSessionPool({
        url: async () => (await resolveConnection(reference, { of, ...(env === undefined ? {} : { env }) })).url,
        settings,
        ...(warm === undefined ? {} : { warm }),
      });
      pools.push(made);
      return made;
    };
    const databases = Object.entries(product.databases).map(([database, { ledgerKey }]): InstanceDatabase => {
      const references = instance.databases[database];
      if (references === undefined) {
        throw new UnwindError(
          FailureType.InvalidConfig,
          `The instance "${name}" has no connection for the database "${database}" of "${product.name}". Nothing was done. Add it in pg-unwind.yaml.`,
        );
      }
      const of = `${name}/${database}`;
      const { releaseMarker: marker } = product;
      const sessions = namingOddStates(pool(references.url, of), database);
      const ledgerOptions = { key: ledgerKey, schema: product.ledger.schema };
      const markerOptions = marker?.database === database ? { schema: marker.schema, service: marker.service } : null;
      let prepared: Promise<void> | null = null;
      return {
        instance: name,
        name: database,
        sessions,
        privileged:
          references.privilegedUrl === undefined
            ? null
            : namingOddStates(pool(references.privilegedUrl, of, 1), database),
        standby: references.standbyUrl === undefined ? null : pool(references.standbyUrl, of, 1),
        ledger: sourcegraphLedger,
        ledgerOptions,
        marker: markerOptions,
        lockTimeoutMs: options.lockTimeoutMs,
        blockers: options.blockers,
        prepare({ make, anew } = { make: false, anew: false }) {
          if (anew) prepared = null;
          prepared ??= sessions
            .withSession(({ client }) =>
              ensureJournal(client, database, functionsOf(ledgerOptions, markerOptions), { make }),
            )
            .catch((error: unknown) => {
              prepared = null; // the next one tries again
              throw error;
            });
          return prepared;
        },
      };
    });
    return {
      pools,
      instance: {
        config: instance,
        databases,
        database(wanted) {
          const found = databases.find((database) => database.name === wanted);
          if (found !== undefined) return found;
          throw new UnwindError(
            FailureType.UnknownInstance,
            `The instance "${name}" has no database "${wanted}"; it has ${databases.map((database) => database.name).join(', ')}.`,
          );
        },
        catalog: () => catalogOf(product.catalog),
      },
    };
  }

  return {
    open(name) {
      let entry = opened.get(name);
      if (entry === undefined) {
        entry = openInstance(name);
        opened.set(name, entry);
      }
      return entry.instance;
    },
    async close() {
      const all = [...opened.values()].flatMap(({ pools }) => pools);
      opened.clear();
      await Promise.all(all.map((each) => each.close()));
    },
  };
}

/**
 * Odd states that show first as an error of some query: a journal that somebody has dropped, or that a newer pg-unwind has remade
 * (a name is missing), and a standby (a write is refused).
 */
function namingOddStates(sessions: SessionPool, database: DatabaseName): SessionPool {
  return {
    ...sessions,
    async withSession(work) {
      try {
        return await sessions.withSession(work);
      } catch (error) {
        if (lacksJournal(error)) {
          throw await sessions.withSession(({ client }) => lackingJournal(client, database)).catch(() => error);
        }
        throw (await standbyBehind(error, sessions, database)) ?? error;
      }
    },
  };
}
