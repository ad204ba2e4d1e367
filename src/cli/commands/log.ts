import { ExitCode } from '../../contract/errors.js';
import { stringOption, argument, switchOption, type CommandSpec, type Invocation } from '../command.js';
import { CliFailure, CommandError } from '../failure.js';
import { entryText } from '../past-text.js';
import { withEngine } from '../session.js';
import { printJson } from '../terminal.js';
import { lastOf, lastOption } from './history.js';

export const logCommand: CommandSpec = {
  name: 'log',
  args: '<instance>',
  summary:
    'What happened to an instance, from its journals: steps, data, releases, decisions, failures, ended sessions.',
  details:
    'Oldest first, over all databases, in UTC. Needs no Temporal. A failure is shown in the words of the server, which can hold values ' +
    'of rows: they never left the databases, and this prints them for someone who can read those; mind where you paste it.',
  options: [
    { flags: '--run <id>', description: 'only this run: its id, or how that begins ("pg-unwind history")' },
    { flags: '--database <name>', description: 'only this database' },
    { flags: '--failures', description: 'only what failed' },
    lastOption('200', 'how many entries, the newest ones'),
  ],
  examples: ['log shop-dev', 'log shop-dev --run 0b0e9c6e --database frontend', 'log shop-dev --failures --last 20'],
  json: true,
  run: (invocation) =>
    withEngine(invocation, async (engine) => {
      const { terminal, json, options } = invocation;
      const instance = argument(invocation, 0);
      const { entries, unread } = await engine.log({
        instance,
        run: runOf(invocation),
        database: stringOption(options, 'database') ?? null,
        failuresOnly: switchOption(options, 'failures'),
        last: lastOf(invocation),
      });
      if (json) {
        printJson(terminal, { instance, entries, unread });
        return ExitCode.done;
      }
      const width = Math.max(3, ...entries.map(({ database }) => database?.length ?? 0));
      for (const entry of entries) terminal.out(entryText(entry, width, terminal.colors));
      if (entries.length === 0) terminal.out(`The journals of ${instance} hold nothing of the kind.`);
      for (const [database, why] of Object.entries(unread)) terminal.err(`${database} could not be read: ${why}`);
      return ExitCode.done;
    }),
};

function runOf({ options }: Invocation): string | null {
  const text = stringOption(options, 'run')?.toLowerCase();
  if (text === undefined) return null;
  if (/^[0-9a-f][0-9a-f-]{3,35}$/.test(text)) return text;
  throw new CommandError(
    CliFailure.Usage,
    `--run takes the id of a run or at least its first four characters, not "${text}". Nothing was done. "pg-unwind history" lists them.`,
  );
}
