import type { Station } from './matrix/bench.js';
import { defineRows } from './matrix/define.js';
import { arrivalAt } from './matrix/points.js';
import { until } from '../support/until.js';

defineRows([
  {
    name: 'SIGTERM the worker',
    rival: true,
    async fault({ first, mark, open }) {
      mark();
      const stopped = first.worker.terminate();
      await open();
      await stopped;
    },
  },
  {
    name: 'freeze the worker past every timeout, thaw it when another has ended the work',
    rival: true,
    async fault({ first, mark, openInServer }) {
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
    rival: true,
    async fault({ first, second, cells, mark, openInServer }) {
      const rival = second as Station;
      // The one that sleeps needs no meeting: its second attempt comes while it does.
      const meetings = cells
        .filter(({ column }) => column.at.kind !== 'asleep')
        .map(({ column, databases, trap }) => ({
          name: column.name,
          trap,
          arrival: rival.postgres.hold({ database: databases.frontend, when: arrivalAt(column) }),
        }));
      mark();
      // The first one goes on with its work; Temporal, which does not hear from it, gives the step to the second too.
      first.temporal.refuse(true);
      first.temporal.cut();
      const opened = openInServer();
      await Promise.all(
        meetings.map(async ({ name, trap, arrival }) => {
          await until(() => arrival.isReached(), { within: 30_000, describe: `the rival at "${name}"` });
          if (!trap.inServer) await trap.open();
          arrival.release();
        }),
      );
      await opened;
    },
    async after({ first }) {
      first.temporal.refuse(false);
      await first.worker.terminate();
    },
  },
]);
