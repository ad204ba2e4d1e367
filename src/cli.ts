#!/usr/bin/env node
import { main } from './cli/main.js';
import { processTerminal } from './cli/terminal.js';

// `npm run -s pg-unwind -- plan … --config ./x.yaml` is typed in the user's folder, but npm runs us in the package's.
const typedIn = process.env['INIT_CWD'];
if (typedIn !== undefined && process.env['npm_package_name'] === 'pg-unwind') process.chdir(typedIn);

// `pg-unwind plan … | head` closes the pipe early: that is an end, not a failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  process.stderr.write(`error: The output cannot be written (${error.code ?? error.message}).\n`);
  process.exit(1);
});

// Not process.exit(): a pipe as standard output is written asynchronously, and what was printed last would be lost.
process.exitCode = await main(process.argv.slice(2), { terminal: processTerminal(process.env), env: process.env });
