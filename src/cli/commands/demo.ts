import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { switchOption, type CommandSpec } from '../command.js';
import { createStops } from '../example/stops.js';
import { formatFailure, exitCodeOf } from '../failure.js';
import { DETACHED } from '../follow.js';
import { onInterrupt } from '../interrupt.js';

export const demoCommand: CommandSpec = {
  name: 'demo',
  summary: 'See a whole downgrade on this machine: Postgres and Temporal are started, a worker is killed half-way.',
  details:
    'Nothing outside a temporary folder is touched, and everything is stopped and removed at the end. It stays up for a look at the Web UI until ' +
    'Ctrl-C; with --exit it ends with the exit code of the downgrade.',
  options: [{ flags: '--exit', description: 'end when the story is told' }],
  examples: ['demo', 'demo --exit'],
  withoutConfig: true,
  async run({ options, terminal, env, logMode }) {
    const { tellStory } = await import('../example/story.js');
    const interrupt = onInterrupt();
    const stops = createStops();
    const folder = await mkdtemp(path.join(tmpdir(), 'pg-unwind-demo-'));
    stops.push(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
    try {
      const story = tellStory({ folder, stops, terminal, env, signal: interrupt.signal }).catch((error: unknown) => {
        if (interrupt.signal.aborted) return DETACHED; // what it waited for was cut off by the interrupt
        terminal.err(formatFailure(error, logMode === 'debug'));
        return exitCodeOf(error);
      });
      const code = await Promise.race([story, interrupt.arrived.then(() => DETACHED)]);
      if (interrupt.signal.aborted || switchOption(options, 'exit') || code !== 0) return code;
      terminal.out('\nEverything stays up. Ctrl-C stops and removes it all.');
      await interrupt.arrived;
      return code;
    } finally {
      if (interrupt.signal.aborted) terminal.err('Stopping …');
      await stops.all();
      interrupt.release();
      // A story cut off in the middle may still hold a socket to a server that is gone.
      if (interrupt.signal.aborted) setTimeout(() => process.exit(), 500).unref();
    }
  },
};
