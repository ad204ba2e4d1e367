import { ExitCode } from '../../contract/errors.js';
import type { CommandSpec } from '../command.js';
import { onInterrupt } from '../interrupt.js';
import { createLog } from '../log.js';
import { openConfig } from '../session.js';

export const workerCommand: CommandSpec = {
  name: 'worker',
  summary: 'Serve the task queue: run the workflows and carry out their steps, until Ctrl-C.',
  details:
    'Logs one line per step. SIGINT and SIGTERM take no more work and let steps in progress end within the grace time; a step that does not ' +
    'is rolled back and goes on with the next worker.',
  examples: ['worker', 'worker --config /etc/pg-unwind.yaml --log json'],
  async run(invocation) {
    const log = createLog(invocation.logMode, invocation.terminal.out);
    const config = openConfig(invocation);
    const interrupt = onInterrupt();
    try {
      const { runWorker } = await import('../../worker.js'); // the SDK's native part is loaded by those who need it
      await runWorker({ config, env: invocation.env, log, signal: interrupt.signal });
    } finally {
      interrupt.release();
    }
    return ExitCode.done;
  },
};
