import { readFileSync } from 'node:fs';
import { ExitCode } from '../contract/errors.js';
import type { CommandSpec } from './command.js';
import { COMMANDS } from './commands/index.js';
import { exitCodeOf, formatFailure, reportOf } from './failure.js';
import { parseCommandLine } from './program.js';
import { printJson, type Terminal } from './terminal.js';

export interface MainDeps {
  readonly terminal: Terminal;
  readonly env: NodeJS.ProcessEnv;
  readonly commands?: readonly CommandSpec[];
}

/** Runs one command line; never throws. @returns the exit code. */
export async function main(words: readonly string[], deps: MainDeps): Promise<number> {
  const { terminal, env } = deps;
  try {
    const parsed = await parseCommandLine(words, deps.commands ?? COMMANDS, {
      terminal,
      env,
      version: packageVersion(),
    });
    if (parsed.kind === 'answered') return ExitCode.done;
    return await parsed.spec.run(parsed.invocation);
  } catch (error) {
    printFailure(error, words, terminal);
    return exitCodeOf(error);
  }
}

/**
 * The one place where errors are printed. With `--json` they go to standard output like any other answer: a program that
 * reads it always finds one document, and the exit code says which kind.
 */
function printFailure(error: unknown, words: readonly string[], terminal: Terminal): void {
  const debug = logModeIn(words) === 'debug';
  if (words.includes('--json')) {
    printJson(terminal, { error: reportOf(error) });
    if (debug) terminal.err(formatFailure(error, true));
  } else {
    terminal.err(formatFailure(error, debug));
  }
}

/** Read from the words themselves: the error may be about the command line. */
function logModeIn(words: readonly string[]): string | undefined {
  const at = words.indexOf('--log');
  return at >= 0 ? words[at + 1] : words.find((word) => word.startsWith('--log='))?.slice('--log='.length);
}

function packageVersion(): string {
  const file = new URL('../../package.json', import.meta.url); // the same distance from src/cli and from dist/cli
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version; // our own file
}
