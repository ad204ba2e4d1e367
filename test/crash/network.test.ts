import { setTimeout as sleep } from 'node:timers/promises';
import { queryAt } from './matrix/bench.js';
import { defineRows } from './matrix/define.js';

const SHORT_MS = 1_000;
/** Longer than the heartbeat timeout. */
const LONG_MS = 12_000;

defineRows([
  {
    name: 'pg_terminate_backend on all sessions of the worker',
    async fault({ bench, cells, mark, open }) {
      mark();
      await queryAt(
        bench.postgres.superuserUrl,
        `select pg_terminate_backend(pid) from pg_stat_activity
          where datname = any ($1) and (application_name like 'pgu:%' or application_name = 'pg-unwind')`,
        [cells.map(({ databases }) => databases.frontend)],
      );
      await open('lose');
    },
  },
  ...[
    { name: 'cut the network to Postgres for 1 s', forMs: SHORT_MS },
    { name: 'cut the network to Postgres for 12 s', forMs: LONG_MS },
  ].map(({ name, forMs }) => ({
    name,
    async fault({ first, mark, open }: Parameters<Parameters<typeof defineRows>[0][number]['fault']>[0]) {
      mark();
      first.postgres.refuse(true);
      first.postgres.cut();
      const opened = open('lose');
      await sleep(forMs); // the length of the fault
      first.postgres.refuse(false);
      await opened;
    },
  })),
  {
    name: 'connections to Postgres go silent for good',
    async fault({ first, mark, open }) {
      mark();
      first.postgres.silence();
      await open();
    },
    // Until its keep-alives find out, the server keeps such sessions: idle, without a lock or a transaction.
    after: ({ first }) => Promise.resolve(first.postgres.cut()),
  },
  ...[
    { name: 'cut the network to Temporal for 1 s', forMs: SHORT_MS },
    { name: 'cut the network to Temporal for 12 s', forMs: LONG_MS },
  ].map(({ name, forMs }) => ({
    name,
    spares: true,
    async fault({ first, mark, openAtOnce }: Parameters<Parameters<typeof defineRows>[0][number]['fault']>[0]) {
      mark();
      first.temporal.refuse(true);
      first.temporal.cut();
      const opened = openAtOnce();
      await sleep(forMs); // the length of the fault
      first.temporal.refuse(false);
      await opened;
    },
  })),
]);
