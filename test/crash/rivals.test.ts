import pg from 'pg';
import { workflowIdOf } from '../../src/contract/ids.js';
import { QueryName, UpdateName, type StatusReport } from '../../src/contract/messages.js';
import { sourcegraphLedger } from '../../src/journal/ledgers/sourcegraph.js';
import { until } from '../support/until.js';
import { withClient } from './matrix/bench.js';
import { startRun, type Answer, type Question } from './matrix/cell.js';
import { defineRows } from './matrix/define.js';
import type { Column } from './matrix/points.js';
import { FRONTEND, LEDGER_KEYS, SEGMENTS } from './matrix/product.js';
import type { Cell } from './matrix/row.js';

const KEY = LEDGER_KEYS.frontend;
const LOCK = sourcegraphLedger.lockKey({ key: KEY, schema: 'public' });

interface Migrator {
  /** It has its lock, or stands in the queue for it. */
  readonly there: Promise<unknown>;
  readonly ended: Promise<void>;
}

/**
 * The product's own migrator, waiting for its lock inside the server. `work` is what it does under it. One that comes while an
 * index is being built already may be the deadlock's victim in place of the build (docs/operations.md); its supervisor starts it again.
 */
function startMigrator({ url }: Cell, work: (client: pg.Client) => Promise<void>): Migrator {
  let over = false;
  const lock = async (client: pg.Client): Promise<void> => {
    try {
      await client.query('select pg_advisory_lock($1, $2)', [LOCK.classId, LOCK.objId]);
    } catch (error) {
      if (!(error instanceof pg.DatabaseError && error.code === '40P01')) throw error;
      await lock(client);
    }
  };
  const ended = withClient(url, async (client) => {
    await lock(client);
    await work(client);
    await client.query('select pg_advisory_unlock($1, $2)', [LOCK.classId, LOCK.objId]);
  }).finally(() => (over = true));
  ended.catch(() => undefined); // awaited by the row
  const isThere = (client: pg.Client) =>
    client.query(AT_THE_LOCK, [LOCK.classId]).then(({ rowCount }) => rowCount !== 0);
  const there = withClient(url, (client) =>
    until(async () => over || (await isThere(client)), { describe: "the product's migrator at its lock" }),
  );
  return { there, ended };
}

const AT_THE_LOCK = `select from pg_locks l
  join pg_database d on d.oid = l.database and d.datname = current_database()
  join pg_stat_activity a on a.pid = l.pid and a.application_name = 'crash matrix'
 where l.locktype = 'advisory' and l.classid::bigint = $1::integer::bigint & 4294967295`;

/** What a pod of the newer version does when it restarts in the middle: the migration undone last is applied again. */
async function applyAgain(cell: Cell, client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ version: number }>(
    `select version from migration_logs where schema = $1 and not up and success order by id desc limit 1`,
    [KEY],
  );
  const id = rows[0]?.version;
  if (id === undefined) throw new Error('nothing is undone yet');
  await client.query((FRONTEND[id] as { up: string }).up);
  await client.query(
    `insert into migration_logs (migration_logs_schema_version, schema, version, up, started_at, finished_at, success)
     values (2, $1, $2, true, clock_timestamp(), clock_timestamp(), true)`,
    [KEY, id],
  );
  cell.again.push(id);
}

/** By hand, with its row in the ledger: what was applied again while an index statement was half done. */
async function undoAgain(cell: Cell): Promise<void> {
  const id = cell.again.at(-1);
  if (id !== 8 && id !== 9) throw new Error(`${id} was applied again, neither 8 nor 9`);
  await withClient(cell.url, async (client) => {
    if (id === 8) {
      await client.query('create index letters_weight on letters (weight)'); // its own witness, as an index statement has none
    } else {
      for (let part = 1; part <= SEGMENTS; part += 1) await client.query(`create table back_9_${part} (id integer)`);
      cell.again.pop(); // nothing of the script's own ran once more
    }
    await client.query(
      `insert into migration_logs (migration_logs_schema_version, schema, version, up, started_at, finished_at, success)
       values (2, $1, $2, false, clock_timestamp(), clock_timestamp(), true)`,
      [KEY, id],
    );
  });
}

async function sleepFor(seconds: number, client: pg.Client): Promise<void> {
  await client.query('select pg_sleep($1)', [seconds]);
}

const whileItHoldsTheLock = (_: Column, { codes }: Question): Answer | null =>
  codes.length > 0 && codes.every((code) => code === 'lockHeld') ? 'retry' : null;

defineRows([
  {
    name: 'a second workflow under another id',
    spares: true,
    async fault({ site, cells, mark, openAtOnce }) {
      await Promise.all(
        cells.map(async ({ instance }) => {
          const rival = await startRun(site, instance, `other/${instance}`);
          let last: StatusReport | null = null;
          const status = await until(
            async () => {
              const seen = await rival.query<StatusReport>(QueryName.status);
              last = seen;
              return seen.state === 'needsOperator' && seen;
            },
            { within: 60_000, every: 200, describe: 'the second workflow to be refused', show: () => last },
          );
          const failures = status.parked.map(({ failure }) => failure);
          if (failures.some((failure) => failure !== 'ClaimedByAnother')) {
            throw new Error(`refused otherwise: ${JSON.stringify(status.parked)}`);
          }
          await rival.executeUpdate(UpdateName.abort, { args: [{}] });
        }),
      );
      mark();
      await openAtOnce();
      // The first one's id is the lock of the instance.
      await Promise.all(
        cells.map(({ instance }) =>
          startRun(site, instance, workflowIdOf(instance)).then(
            () => Promise.reject(new Error(`${instance} could be started twice`)),
            () => undefined,
          ),
        ),
      );
    },
  },
  {
    name: "the product's migrator takes its lock",
    spares: true,
    foresees: whileItHoldsTheLock,
    async fault({ cells, mark, openAtOnce }) {
      const migrators = cells.map((cell) => startMigrator(cell, (client) => sleepFor(2, client)));
      await Promise.all(migrators.map(({ there }) => there));
      mark();
      await openAtOnce();
      await Promise.all(migrators.map(({ ended }) => ended));
    },
  },
  {
    name: "the product's migrator applies again what was just undone",
    spares: true,
    foresees: (column, question) => {
      const patience = whileItHoldsTheLock(column, question);
      if (patience !== null || question.failure !== 'DirtyDatabase') return patience;
      // While an index statement runs the migrator is let in (it would be its deadlock), so this step is half done: not a state to
      // start a new run from.
      return question.codes.join() === 'unexpectedAppliedSet' && question.message.includes('is half done')
        ? 'bringBack'
        : 'restart';
    },
    bringBack: undoAgain,
    async fault({ cells, mark, openAtOnce }) {
      const migrators = cells.map((cell) => startMigrator(cell, (client) => applyAgain(cell, client)));
      await Promise.all(migrators.map(({ there }) => there));
      mark();
      await openAtOnce();
      await Promise.all(migrators.map(({ ended }) => ended));
    },
  },
]);
