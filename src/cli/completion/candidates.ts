import { ACCEPTABLE } from '../../contract/dirty.js';
import type { CommandSpec, OptionSpec } from '../command.js';

/** What only the configuration knows; each is asked for at most once, and only where it is needed. */
export interface Names {
  instances(): Promise<readonly string[]>;
  databases(instance: string | null): Promise<readonly string[]>;
  releases(instance: string | null): Promise<readonly string[]>;
  dataMigrations(instance: string | null): Promise<readonly string[]>;
  codes(): Promise<readonly string[]>;
}

/**
 * What can stand in place of the last of the words; empty where that is a file, or anybody's guess.
 * @param words - As typed behind the name of the program; the last one is under the cursor, perhaps empty.
 */
export async function candidates(
  words: readonly string[],
  specs: readonly CommandSpec[],
  names: Names,
): Promise<readonly string[]> {
  const joined = joinEquals(words);
  const current = joined.at(-1) ?? '';
  const before = joined.slice(0, -1);
  const spec = specs.find(({ name }) => name.split(' ').every((word, at) => before[at] === word));
  const all = spec === undefined ? nextWords(before, specs) : await inCommand(spec, before, current, names);
  return [...new Set(all)].filter((each) => each.startsWith(current));
}

/** bash hands out `--to=v1` as three words, for `=` breaks words there. */
function joinEquals(words: readonly string[]): string[] {
  const at = words.lastIndexOf('=');
  if (at < 1 || at < words.length - 2) return [...words];
  return [...words.slice(0, at), words[at + 1] ?? ''];
}

function nextWords(before: readonly string[], specs: readonly CommandSpec[]): string[] {
  const fitting = specs
    .map(({ name }) => name.split(' '))
    .filter((parts) => before.every((word, at) => parts[at] === word));
  const next = fitting.flatMap((parts) => parts[before.length] ?? []);
  return before.length === 0 ? [...next, '--help', '--version'] : next;
}

async function inCommand(
  spec: CommandSpec,
  before: readonly string[],
  current: string,
  names: Names,
): Promise<readonly string[]> {
  const options = optionsOf(spec);
  const typed = before.slice(spec.name.split(' ').length);
  const operands = operandsIn(typed, options);
  const instance = spec.args?.startsWith('<instance>') === true ? (operands[0] ?? null) : null;
  const waiting = options.find(({ flags }) => takesValue(flags) && longOf(flags) === typed.at(-1));
  if (waiting !== undefined) return valuesOf(waiting, instance, names);
  if (current.startsWith('-')) return options.map(({ flags }) => longOf(flags));
  const argument = (spec.args ?? '').split(' ')[operands.length];
  switch (argument) {
    case '<instance>':
      return names.instances();
    case '<id>':
      return names.dataMigrations(instance);
    case '<code>':
      return ACCEPTABLE;
    case '[code]':
      return names.codes();
    case '<shell>':
      return ['bash', 'zsh', 'fish'];
    default:
      return [];
  }
}

function optionsOf(spec: CommandSpec): OptionSpec[] {
  const more: OptionSpec[] = [
    ...(spec.withoutConfig === true ? [] : [{ flags: '--config <file>', description: '' }]),
    ...(spec.json === true ? [{ flags: '--json', description: '' }] : []),
    { flags: '--log <mode>', description: '', choices: ['plain', 'json', 'debug'] },
    { flags: '--help', description: '' },
  ];
  return [...(spec.options ?? []), ...more];
}

function operandsIn(typed: readonly string[], options: readonly OptionSpec[]): string[] {
  return typed.filter((word, at) => {
    const previous = typed[at - 1];
    const isValue = options.some(({ flags }) => takesValue(flags) && longOf(flags) === previous);
    return !word.startsWith('-') && !isValue;
  });
}

async function valuesOf(option: OptionSpec, instance: string | null, names: Names): Promise<readonly string[]> {
  if (option.choices !== undefined) return option.choices;
  switch (longOf(option.flags)) {
    case '--to':
    case '--from':
    case '--release':
      return names.releases(instance);
    case '--via':
      return ['every-release', 'every-minor', ...(await names.releases(instance))];
    case '--database':
      return names.databases(instance);
    case '--data':
      return names.dataMigrations(instance);
    case '--blockers':
      return ['wait', 'terminateIdle', 'terminate'];
    default:
      return [];
  }
}

function longOf(flags: string): string {
  return /--[\w-]+/.exec(flags)?.[0] ?? flags;
}

function takesValue(flags: string): boolean {
  return /[<[]/.test(flags);
}
