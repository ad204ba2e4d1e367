import type { Terminal } from './terminal.js';

export type LogMode = 'plain' | 'json' | 'debug';

/** Options as commander hands them out: a string, a list of them, or a switch. */
export type OptionValues = Readonly<Record<string, string | readonly string[] | boolean | undefined>>;

/** One use of a command. */
export interface Invocation {
  /** The positional arguments in order; commander has checked that the required ones are there. */
  readonly args: readonly string[];
  readonly options: OptionValues;
  /** What follows `--` or an unknown option, for commands that pass it on. */
  readonly rest: readonly string[];
  readonly terminal: Terminal;
  readonly env: NodeJS.ProcessEnv;
  readonly json: boolean;
  readonly logMode: LogMode;
  readonly configFile: string | undefined;
}

export interface OptionSpec {
  /** As commander writes it: `--to <release>`. */
  readonly flags: string;
  readonly description: string;
  readonly required?: boolean;
  readonly default?: string;
  readonly choices?: readonly string[];
}

/** A command as data: `program.ts` gives it to commander, the README's table and the tests read the same. */
export interface CommandSpec {
  /** `catalog build`: the words to type. */
  readonly name: string;
  /** `<instance>`, as commander writes it. */
  readonly args?: string;
  readonly summary: string;
  /** What the summary leaves out: files, exit codes of its own. */
  readonly details?: string;
  readonly options?: readonly OptionSpec[];
  /** Command lines without the leading `pg-unwind `. */
  readonly examples: readonly string[];
  /** Prints data, so `--json` is offered. */
  readonly json?: boolean;
  /** Takes no `--config`: it works without one. */
  readonly withoutConfig?: boolean;
  /** Passes on what it does not know (`temporal …`). */
  readonly passThrough?: boolean;
  /** @returns the exit code. */
  run(invocation: Invocation): Promise<number>;
}

export function stringOption(options: OptionValues, name: string): string | undefined {
  const value = options[name];
  return typeof value === 'string' ? value : undefined;
}

export function requiredOption(options: OptionValues, name: string): string {
  const value = stringOption(options, name);
  if (value === undefined) throw new Error(`commander let the required option "${name}" pass as missing`);
  return value;
}

export function switchOption(options: OptionValues, name: string): boolean {
  return options[name] === true;
}

/** A positional argument that commander has required. */
export function argument(invocation: Invocation, index: number): string {
  const value = invocation.args[index];
  if (value === undefined) throw new Error(`commander let the required argument ${index + 1} pass as missing`);
  return value;
}
