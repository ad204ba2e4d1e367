import { defineRows } from './matrix/define.js';

defineRows([
  {
    name: 'kill -9 the worker',
    rival: true,
    async fault({ first, mark, open }) {
      mark();
      await first.worker.kill();
      await open(); // what the dead worker had sent is still on its way
    },
  },
]);
