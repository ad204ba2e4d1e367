import { writeFile } from 'node:fs/promises';
import { ExitCode } from '../../contract/errors.js';
import { argument, requiredOption, stringOption, switchOption, type CommandSpec } from '../command.js';
import { CliFailure, CommandError } from '../failure.js';
import { lossPage } from '../loss-html.js';
import { formatPlan } from '../plan-text.js';
import { withEngine } from '../session.js';
import { printJson } from '../terminal.js';
import { turnsOf } from '../turns-text.js';
import { VIA_OPTION, viaOption } from '../via.js';

export const planCommand: CommandSpec = {
  name: 'plan',
  args: '<instance>',
  summary: 'Show the whole way to a release, step by step and what it destroys, without changing anything.',
  details:
    'Reads the ledgers of the databases, and counts what the plan would lose; needs no Temporal. With --json it prints the plan ' +
    'itself; beside it stand "progress" of its data migrations and "losses", which the id does not cover.',
  options: [
    { flags: '--to <release>', description: 'the release to end at', required: true },
    VIA_OPTION,
    { flags: '--up', description: 'plan the upgrade to it instead of the downgrade' },
    { flags: '--html <file>', description: 'write what is lost as a page of its own, to be sent around and read' },
  ],
  examples: [
    'plan shop-dev --to v2.0.0',
    'plan shop-dev --to v2.0.0 --via every-minor',
    'plan shop-dev --to v2.0.0 --json',
    'plan shop-dev --to v2.0.0 --html losses.html',
    'plan shop-dev --to v3.0.0 --up',
  ],
  json: true,
  run: (invocation) =>
    withEngine(invocation, async (engine) => {
      const { options, terminal, json } = invocation;
      const instance = argument(invocation, 0);
      const direction = switchOption(options, 'up') ? 'up' : 'down';
      const via = viaOption(options);
      const planned = await engine.plan({
        instance,
        to: requiredOption(options, 'to'),
        direction,
        losses: true,
        ...(via === undefined ? {} : { via }),
      });
      const { plan, progress, losses, stops, hooks } = planned;
      const file = stringOption(options, 'html');
      if (file !== undefined && losses !== undefined) await writePage(file, lossPage({ instance, plan, losses }));
      if (json)
        printJson(terminal, {
          ...plan,
          ...(progress === undefined ? {} : { progress }),
          losses,
          ...turnsOf(plan, stops, hooks),
        });
      else terminal.out(formatPlan({ instance, via: stringOption(options, 'via'), ...planned }, terminal.colors));
      if (file !== undefined && !json) terminal.out(`What is lost is written to ${file}.`);
      return ExitCode.done;
    }),
};

/** @throws {CommandError} Usage: the file cannot be written. */
async function writePage(file: string, page: string): Promise<void> {
  try {
    await writeFile(file, page);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new CommandError(
      CliFailure.Usage,
      `The page cannot be written to ${file} (${code}). Nothing was changed. Name a file in a folder that exists and that you may write to.`,
    );
  }
}
