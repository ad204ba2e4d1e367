import { defineRows } from './matrix/define.js';

defineRows([
  {
    name: 'kill -9 the worker',
    async fault({ first, second, mark, open }) {
      await second(); // it waits for work when the first one dies
      mark();
      await first.worker.kill();
      await open(); // what the dead worker had sent is still on its way
    },
  },
]);
