import { argument, stringOption, type CommandSpec } from '../command.js';
import { exitCodeOfReport, printReport } from '../follow.js';
import { withRuns } from '../session.js';
import { showRun } from '../watch/show-run.js';
import { DATA_OPTION } from './updates.js';

export const watchCommand: CommandSpec = {
  name: 'watch',
  args: '<instance>',
  summary: 'Watch the run of an instance until it ends; come and leave at any time, the run goes on.',
  details:
    'On a terminal it takes the whole screen: a bar for each database with a tick where a release ends, the step under way and what it ' +
    'waits for, data migrations, the last checks, what is to be done, what happened. Keys: p pause, r resume (retry where it is parked, ' +
    'continue at a stop), a abort (asks first), q or Ctrl-C leave (exit code 130). Elsewhere it prints lines, as --wait does, and ends ' +
    'with exit code 3 as soon as the run waits for an operator. Of a run that is over it shows the end.',
  options: [
    DATA_OPTION,
    {
      flags: '--by <name>',
      description: 'who presses the keys, for the journal (else the name of the user that runs this)',
    },
  ],
  examples: ['watch shop-dev', 'watch shop-dev --by eve', 'watch shop-dev --data 1'],
  json: true,
  run: (invocation) => {
    const instance = argument(invocation, 0);
    return withRuns(invocation, instance, async (runs) => {
      const { status, startTime } = await runs.describe(instance);
      if (status.name !== 'RUNNING') {
        const report = await runs.result(instance);
        printReport(report, invocation.terminal, invocation.json);
        return exitCodeOfReport(report);
      }
      const data = stringOption(invocation.options, 'data');
      return showRun(runs, invocation, { instance, data, startedAt: startTime.getTime() });
    });
  },
};
