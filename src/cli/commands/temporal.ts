import { spawn } from 'node:child_process';
import { findTemporal, forTemporal } from '../../temporal/find-temporal.js';
import type { CommandSpec } from '../command.js';

export const temporalCommand: CommandSpec = {
  name: 'temporal',
  args: '[arguments...]',
  summary: 'Run the Temporal CLI that pg-unwind found or built, with everything that follows.',
  details: 'For machines without "temporal" on the PATH; standard input, output and the exit code are its own.',
  examples: ['temporal workflow list', 'temporal workflow describe --workflow-id unwind/shop-dev'],
  withoutConfig: true,
  passThrough: true,
  async run({ rest, terminal, env }) {
    const { path } = await findTemporal({ env, say: terminal.err });
    const child = spawn(path, rest, { stdio: 'inherit', env: forTemporal(env) });
    // Ctrl-C reaches the child through the terminal; we stay for its exit code.
    const ignore = () => undefined;
    process.on('SIGINT', ignore);
    try {
      return await new Promise<number>((resolve, reject) => {
        child.once('error', reject);
        child.once('exit', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 1)));
      });
    } finally {
      process.removeListener('SIGINT', ignore);
    }
  },
};
