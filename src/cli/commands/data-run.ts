import { WorkflowType } from '../../contract/ids.js';
import { parseDataInput } from '../../contract/input.js';
import { operatorName } from '../operator.js';
import { argument, switchOption, type CommandSpec, type Invocation } from '../command.js';
import { CliFailure, CommandError } from '../failure.js';
import { expectKnownData } from '../session.js';
import { startRun, WAITING } from '../start-run.js';

export const dataRunCommand: CommandSpec = {
  name: 'data run',
  args: '<instance> <id>',
  summary: 'Carry one data migration forward or back by itself, on the schema that stands, through Temporal.',
  details:
    'Refused outside its window, and while the instance is being taken to another release, which runs what it needs by itself. ' +
    'The run answers to "pg-unwind status", "retry", "pause", "resume" and "abort" with --data <id>. ' +
    WAITING,
  options: [
    { flags: '--forward', description: 'to the newer form' },
    { flags: '--reverse', description: 'back to the older form' },
    { flags: '--take-over', description: "take the database over from another workflow's open run" },
    { flags: '--by <name>', description: 'who starts it, for the journal (else the name of the user that runs this)' },
    { flags: '--wait', description: 'stay and show progress until the end; 3 as soon as it waits for an operator' },
  ],
  examples: ['data run shop-dev 1 --forward --wait', 'data run shop-dev 1 --reverse'],
  json: true,
  run: async (invocation) => {
    const [instance, id] = [argument(invocation, 0), argument(invocation, 1)];
    const direction = directionOf(invocation);
    const input = parseDataInput({
      instance,
      id,
      direction,
      by: operatorName(invocation),
      ...(switchOption(invocation.options, 'takeOver') ? { takeOver: true } : {}),
    });
    // The workflow looks again, at the databases too; here it costs milliseconds and answers before anything is started.
    await expectKnownData(invocation, instance, id);
    const what = `data migration ${id} of ${instance}, ${direction},`;
    return startRun(invocation, WorkflowType.dataMigration, input, { what, started: { id, direction } });
  },
};

function directionOf({ options }: Invocation): 'forward' | 'reverse' {
  const [forward, reverse] = [switchOption(options, 'forward'), switchOption(options, 'reverse')];
  if (forward !== reverse) return forward ? 'forward' : 'reverse';
  throw new CommandError(
    CliFailure.Usage,
    `"data run" takes ${forward ? 'either --forward or --reverse, not both' : 'one of --forward and --reverse'}. Nothing was done. ` +
      'See "pg-unwind data run --help".',
  );
}
