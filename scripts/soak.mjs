// npm run soak -- --minutes N [--seed S] [--path P] [--concurrency C]
//
// The random search of test/crash/random.test.ts for as long as there is time: servers, cases and oracle are the test's own, so
// what is found here is repeated there, and the other way round. Without --minutes and with --path: that one case again.
import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { run } from './vitest.mjs';

const usage = 'Usage: npm run soak -- --minutes N [--seed S] [--path P] [--concurrency C]\n';

function read() {
  const text = { type: /** @type {const} */ ('string') };
  const { values } = parseArgs({ options: { minutes: text, seed: text, path: text, concurrency: text } });
  const numbers = Object.entries(values).filter(([name]) => name !== 'path');
  for (const [name, value] of numbers) {
    if (!/^-?\d+(\.\d+)?$/.test(value)) throw new Error(`--${name} must be a number, not "${value}"`);
  }
  if (values.path === undefined && values.minutes === undefined) throw new Error('say how long, or what to repeat');
  if (values.path !== undefined && values.seed === undefined)
    throw new Error('a path means something with its seed only');
  return values;
}

async function main() {
  let asked;
  try {
    asked = read();
  } catch (error) {
    process.stderr.write(`${error.message}\n${usage}`);
    return 2;
  }
  await build({ say: (line) => process.stderr.write(`${line}\n`) });
  const env = Object.fromEntries(
    Object.entries(asked).map(([name, value]) => [`PG_UNWIND_SOAK_${name.toUpperCase()}`, value]),
  );
  // vitest.config.ts leaves the crash tier's long files out without it.
  env['PG_UNWIND_CRASH'] = 'all';
  return run('vitest', ['run', '--project', 'crash', 'test/crash/random.test.ts', '--disable-console-intercept'], env);
}

process.exitCode = await main();
