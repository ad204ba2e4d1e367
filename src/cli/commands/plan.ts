import { ExitCode } from '../../contract/errors.js';
import { argument, requiredOption, switchOption, type CommandSpec } from '../command.js';
import { formatPlan } from '../plan-text.js';
import { withEngine } from '../session.js';
import { printJson } from '../terminal.js';

export const planCommand: CommandSpec = {
  name: 'plan',
  args: '<instance>',
  summary: 'Show the whole way to a release, step by step and what it destroys, without changing anything.',
  details:
    'Reads the ledgers of the databases; needs no Temporal. With --json it prints the plan itself; the progress of its data ' +
    'migrations stands beside it, where it was asked for, and is not covered by the id.',
  options: [
    { flags: '--to <release>', description: 'the release to end at', required: true },
    { flags: '--up', description: 'plan the upgrade to it instead of the downgrade' },
  ],
  examples: ['plan acme-eu --to v5.8.1579', 'plan acme-eu --to v5.8.1579 --json', 'plan acme-eu --to v7.2.0 --up'],
  json: true,
  run: (invocation) =>
    withEngine(invocation, async (engine) => {
      const { options, terminal, json } = invocation;
      const instance = argument(invocation, 0);
      const direction = switchOption(options, 'up') ? 'up' : 'down';
      const planned = await engine.plan({ instance, to: requiredOption(options, 'to'), direction });
      const { plan, progress } = planned;
      if (json) printJson(terminal, progress === undefined ? plan : { ...plan, progress });
      else terminal.out(formatPlan({ instance, ...planned }, terminal.colors));
      return ExitCode.done;
    }),
};
