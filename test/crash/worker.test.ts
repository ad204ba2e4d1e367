import type { Hold } from '../support/wire-proxy.js';
import { defineRows } from './matrix/define.js';
import { arrivalAt } from './matrix/points.js';
import { until } from '../support/until.js';

defineRows([
  {
    name: 'SIGTERM the worker',
    async fault({ first, second, mark, open }) {
      await second();
      mark();
      const stopped = first.worker.terminate();
      await open();
      await stopped;
    },
  },
  {
    name: 'freeze the worker past every timeout, thaw it when another has ended the work',
    async fault({ first, second, mark, openInServer }) {
      await second();
      mark();
      first.worker.freeze();
      await openInServer();
    },
    async after({ first, open }) {
      await open(); // what the frozen worker had sent arrives now, after everything is done
      first.worker.thaw();
      await first.worker.terminate(); // it stops once it knows the end of all that it believes to be doing
    },
  },
  {
    name: 'two workers race for the same step',
    async fault({ first, second, cells, mark, openInServer }) {
      const rival = await second();
      const arrivals: readonly Hold[] = cells.map(({ column, databases }) =>
        rival.postgres.hold({ database: databases.frontend, when: arrivalAt(column) }),
      );
      mark();
      // The first one goes on with its work; Temporal, which does not hear from it, gives the step to the second too.
      first.temporal.refuse(true);
      first.temporal.cut();
      await Promise.all([
        openInServer(),
        ...cells.map(async ({ trap, column }, at) => {
          if (trap.inServer) return;
          const arrival = arrivals[at] as Hold;
          await until(() => arrival.isReached(), { within: 30_000, describe: `the rival at "${column.name}"` });
          await trap.open();
        }),
        ...arrivals.map(async (arrival) => {
          await until(() => arrival.isReached(), { within: 30_000, describe: 'the rival' });
          arrival.release();
        }),
      ]);
    },
    async after({ first }) {
      first.temporal.refuse(false);
      await first.worker.terminate();
    },
  },
]);
