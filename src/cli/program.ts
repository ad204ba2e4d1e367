import { Command, CommanderError, Option } from 'commander';
import type { CommandSpec, Invocation, LogMode, OptionValues } from './command.js';
import { CliFailure, CommandError } from './failure.js';
import type { Terminal } from './terminal.js';

export interface ProgramContext {
  readonly terminal: Terminal;
  readonly env: NodeJS.ProcessEnv;
  readonly version: string;
}

/** What a command line comes to: a command to run, or a text that answers it (`--help`, `--version`). */
export type Parsed =
  { readonly kind: 'run'; readonly spec: CommandSpec; readonly invocation: Invocation } | { readonly kind: 'answered' };

const DESCRIPTION =
  'Takes the Postgres databases of a product down several releases (and up again), in order, as one durable Temporal workflow.';
const EXIT_CODES =
  'Exit codes: 0 done · 1 unexpected · 2 invalid input, nothing was done · 3 dirty, or waits for an operator · 4 aborted.';

/**
 * Reads a command line without running anything.
 * @throws {CommandError} Usage; the message says what is wrong with it and which help to read.
 */
export async function parseCommandLine(
  words: readonly string[],
  specs: readonly CommandSpec[],
  context: ProgramContext,
): Promise<Parsed> {
  let parsed: Parsed = { kind: 'answered' };
  const complaints: string[] = [];
  const program = new Command('pg-unwind');
  const silence = (command: Command) =>
    command.exitOverride().configureOutput({
      writeOut: (text) => context.terminal.out(text.trimEnd()),
      writeErr: (text) => complaints.push(text.trim()),
    });
  silence(program).description(DESCRIPTION).version(context.version).addHelpText('after', `\n${EXIT_CODES}`);
  program.enablePositionalOptions();

  for (const spec of specs) {
    const command = silence(groupOf(program, spec.name, silence).command(lastWord(spec.name)));
    describe(command, spec);
    command.action((...received: unknown[]) => {
      const values = command.optsWithGlobals() as OptionValues; // only strings and switches are declared below
      const operands = received
        .slice(0, -2)
        .flat()
        .filter((it): it is string => typeof it === 'string');
      parsed = { kind: 'run', spec, invocation: invocationOf(spec, operands, values, context) };
    });
  }

  try {
    await program.parseAsync([...words], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: 'answered' };
    const said = complaints.join('\n').replace(/^error: /, '') || error.message;
    const message =
      error.code === 'commander.help' // a group or the program itself without a command: its whole help is the complaint
        ? `No command was given.\n\n${said}`
        : `${said}\nNothing was done. See "pg-unwind ${helpPath(words, specs)}--help".`;
    throw new CommandError(CliFailure.Usage, message, { cause: error });
  }
  return parsed;
}

function invocationOf(
  spec: CommandSpec,
  operands: readonly string[],
  options: OptionValues,
  { terminal, env }: ProgramContext,
): Invocation {
  const config = options['config'];
  return {
    args: spec.passThrough === true ? [] : operands,
    rest: spec.passThrough === true ? operands : [],
    options,
    terminal,
    env,
    json: options['json'] === true,
    logMode: (options['log'] as LogMode | undefined) ?? 'plain', // one of the choices declared in `describe`
    configFile: typeof config === 'string' ? config : undefined,
  };
}

function groupOf(program: Command, name: string, silence: (command: Command) => Command): Command {
  const words = name.split(' ');
  if (words.length === 1) return program;
  const [group = ''] = words;
  const known = program.commands.find((command) => command.name() === group);
  return known ?? silence(program.command(group).description(GROUPS[group] ?? ''));
}

const GROUPS: Readonly<Record<string, string>> = {
  catalog: 'Compile the releases of a product, and look at the result.',
  data: 'Data migrations: where each is, and one by itself.',
};

function lastWord(name: string): string {
  return name.slice(name.lastIndexOf(' ') + 1);
}

function describe(command: Command, spec: CommandSpec): void {
  command
    .summary(spec.summary)
    .description(spec.details === undefined ? spec.summary : `${spec.summary}\n\n${spec.details}`);
  if (spec.args !== undefined) command.arguments(spec.args);
  for (const { flags, description, required, choices, default: value } of spec.options ?? []) {
    const option = new Option(flags, description);
    if (required === true) option.makeOptionMandatory();
    if (choices !== undefined) option.choices(choices);
    if (value !== undefined) option.default(value);
    command.addOption(option);
  }
  if (spec.passThrough === true) command.allowUnknownOption().passThroughOptions();
  if (spec.withoutConfig !== true) {
    command.addOption(new Option('--config <file>', 'configuration (else PG_UNWIND_CONFIG, else ./pg-unwind.yaml)'));
  }
  if (spec.json === true) command.addOption(new Option('--json', 'print one JSON document, errors included'));
  command.addOption(
    new Option('--log <mode>', 'how to log: "debug" adds detail and the stack of errors').choices([
      'plain',
      'json',
      'debug',
    ]),
  );
  const examples = spec.examples.map((line) => `  pg-unwind ${line}`).join('\n');
  const whose = /shop-dev|\.pg-unwind\/dev/.test(examples) ? ' (with what "pg-unwind dev" sets up)' : '';
  command.addHelpText('after', `\n${spec.examples.length === 1 ? 'Example' : 'Examples'}${whose}:\n${examples}`);
}

/** The words of the command that was meant, as far as they name one. */
function helpPath(words: readonly string[], specs: readonly CommandSpec[]): string {
  const meant = specs.find((spec) => spec.name.split(' ').every((word, index) => words[index] === word));
  return meant === undefined ? '' : `${meant.name} `;
}
