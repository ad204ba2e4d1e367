import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { EmbeddedPostgres } from '../../../src/postgres/embedded.js';
import { startStandby } from '../../support/standby.js';
import { until } from '../../support/until.js';
import { openBench, queryAt, SERVER_SETTINGS, type Bench } from './bench.js';
import type { RowDefinition } from './define.js';
import { begins } from './points.js';
import type { Hold } from '../../support/wire-proxy.js';

let folder = '';
let standby: EmbeddedPostgres | null = null;

/** A primary whose data lies where a copy of it can be made. */
async function benchWithPrimary(): Promise<Bench> {
  folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-standby-'));
  await chmod(folder, 0o755);
  const bench = await openBench({ dataDir: path.join(folder, 'primary') });
  return {
    ...bench,
    get postgres() {
      return bench.postgres;
    },
    async close() {
      await standby?.stop();
      standby = null;
      await bench.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

let atTheStart: readonly Hold[] = [];

/**
 * The standby follows until every run has its plan and its claim, then hears no more: what the runs do from there to their points
 * is lost with the primary. Temporal is ahead of the journal, and the journal wins.
 */
export const standbyRow: RowDefinition = {
  name: 'promote a standby that lacks the last commits',
  spares: true, // of the opaque step nothing is left on the standby, not even that it began
  ownPostgres: benchWithPrimary,
  async prepare({ bench }) {
    standby = await startStandby(bench.postgres, path.join(folder, 'standby'), SERVER_SETTINGS);
    const primary = bench.postgres.superuserUrl;
    await until(
      async () => (await queryAt(primary, `select 1 from pg_stat_replication where state = 'streaming'`)).length > 0,
      {
        within: 30_000,
        describe: 'a standby that streams',
      },
    );
  },
  beforeTheStart({ cells, first }) {
    atTheStart = cells.map(({ databases }) =>
      first.postgres.hold({
        database: databases.frontend,
        when: ({ side, text }) => side === 'client' && begins(11)(text),
      }),
    );
  },
  async onTheWay({ bench }) {
    const follower = standby as EmbeddedPostgres;
    const { superuserUrl } = bench.postgres;
    await until(() => atTheStart.every((hold) => hold.isReached()), {
      within: 90_000,
      describe: 'all runs before their first step',
    });
    const [now] = await queryAt<{ lsn: string }>(superuserUrl, 'select pg_current_wal_lsn()::text as lsn');
    await until(
      async () =>
        (
          await queryAt<{ there: boolean }>(
            follower.superuserUrl,
            'select pg_last_wal_replay_lsn() >= $1::pg_lsn as there',
            [now?.lsn],
          )
        )[0]?.there,
      { within: 30_000, describe: 'the standby to have replayed that' },
    );
    await queryAt(follower.superuserUrl, `alter system set primary_conninfo = ''`);
    await queryAt(follower.superuserUrl, 'select pg_reload_conf()');
    await until(async () => (await queryAt(superuserUrl, 'select 1 from pg_stat_replication')).length === 0, {
      within: 30_000,
      describe: 'the standby to be cut off',
    });
    for (const hold of atTheStart) hold.release();
  },
  async fault({ bench, first, mark, open }) {
    const follower = standby as EmbeddedPostgres;
    mark();
    await bench.postgres.crash();
    await queryAt(follower.superuserUrl, 'select pg_promote()');
    first.postgres.retarget(follower.port);
    bench.failOver(follower);
    await open('lose');
  },
};
