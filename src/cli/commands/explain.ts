import { suggestion } from '../../config/nearest.js';
import { ExitCode } from '../../contract/errors.js';
import type { CommandSpec } from '../command.js';
import { entries, type Entry } from '../explain/page.js';
import { CliFailure, CommandError } from '../failure.js';
import { borderless } from '../table.js';
import { printJson, type Terminal } from '../terminal.js';

export const explainCommand: CommandSpec = {
  name: 'explain',
  args: '[code]',
  summary: 'What an error code or the reason of a dirty check means, and what to do; without a code, all of them.',
  details: 'The same words as docs/errors.md. Capitals do not matter.',
  examples: ['explain changedByOthers', 'explain StepUndecided', 'explain --json'],
  json: true,
  withoutConfig: true,
  run: ({ args, terminal, json }) => {
    const all = entries();
    const [wanted] = args;
    if (wanted === undefined) {
      if (json) printJson(terminal, all);
      else terminal.out(listText(all, terminal.colors));
      return Promise.resolve(ExitCode.done);
    }
    const entry = all.find(({ code }) => code.toLowerCase() === wanted.toLowerCase());
    if (entry === undefined) {
      throw new CommandError(
        CliFailure.Usage,
        `There is no code "${wanted}"${suggestion(
          wanted,
          all.map(({ code }) => code),
        )} "pg-unwind explain" lists them all.`,
      );
    }
    if (json) printJson(terminal, entry);
    else terminal.out(entryText(entry, terminal.colors));
    return Promise.resolve(ExitCode.done);
  },
};

const TITLES: Readonly<Record<Entry['kind'], string>> = {
  failure: 'a failure',
  reason: 'a reason of a dirty check',
  command: 'of the command line',
};

function entryText({ code, kind, follows, means, remedy }: Entry, colors: Terminal['colors']): string {
  return [
    `${colors.bold(code)}  ${colors.dim(`${TITLES[kind]}${follows === null ? '' : `; ${follows}`}`)}`,
    means,
    `What to do: ${remedy}`,
  ].join('\n');
}

function listText(all: readonly Entry[], colors: Terminal['colors']): string {
  const rows = all.map(({ code, kind, follows }) => [code, TITLES[kind], follows ?? '']);
  return borderless(
    ['code', 'what', 'then'].map((title) => colors.dim(title)),
    rows,
  );
}
