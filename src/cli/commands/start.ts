import { WorkflowType } from '../../contract/ids.js';
import { parseUnwindInput } from '../../contract/input.js';
import {
  argument,
  requiredOption,
  stringOption,
  switchOption,
  type CommandSpec,
  type Invocation,
  type OptionSpec,
} from '../command.js';
import { operatorName } from '../operator.js';
import { expectKnownTarget } from '../session.js';
import { startRun, WAITING } from '../start-run.js';
import { VIA_OPTION, viaOption } from '../via.js';

const OPTIONS: readonly OptionSpec[] = [
  { flags: '--to <release>', description: 'the release to end at', required: true },
  { flags: '--from <release>', description: 'guard: fail unless the instance stands exactly there' },
  VIA_OPTION,
  { flags: '--accept-data-loss <plan>', description: 'consent beforehand to what exactly this plan destroys (its id)' },
  { flags: '--take-over', description: "take the databases over from another workflow's open run" },
  {
    flags: '--blockers <policy>',
    description:
      "about sessions in the way of a step, for this run: wait, terminateIdle or terminate (else the instance's)",
  },
  { flags: '--by <name>', description: 'who starts it, for the journal (else the name of the user that runs this)' },
  { flags: '--wait', description: 'stay and show progress until the end; 3 as soon as it waits for an operator' },
];

export const downgradeCommand: CommandSpec = {
  name: 'downgrade',
  args: '<instance>',
  summary: 'Start the downgrade of an instance through Temporal.',
  details: WAITING,
  options: OPTIONS,
  examples: [
    'downgrade shop-dev --to v2.0.0 --wait',
    'downgrade shop-dev --to v2.0.0 --accept-data-loss 3fc8a1d0c7be5e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081',
  ],
  json: true,
  run: (invocation) => start(invocation, WorkflowType.downgrade),
};

export const upgradeCommand: CommandSpec = {
  name: 'upgrade',
  args: '<instance>',
  summary: 'Start the upgrade of an instance through Temporal; an empty database is a fine place to start.',
  details: WAITING,
  options: OPTIONS,
  examples: ['upgrade shop-dev --to v3.0.0 --wait'],
  json: true,
  run: (invocation) => start(invocation, WorkflowType.upgrade),
};

async function start(invocation: Invocation, type: WorkflowType): Promise<number> {
  const { options } = invocation;
  const instance = argument(invocation, 0);
  const input = parseUnwindInput({
    instance,
    to: requiredOption(options, 'to'),
    by: operatorName(invocation),
    ...given('from', stringOption(options, 'from')),
    ...given('via', viaOption(options)),
    ...given('acceptDataLoss', stringOption(options, 'acceptDataLoss')),
    ...given('blockers', stringOption(options, 'blockers')),
    ...(switchOption(options, 'takeOver') ? { takeOver: true } : {}),
  });
  // The workflow looks again, with the worker's catalog; here it costs milliseconds and answers before anything is started.
  await expectKnownTarget(invocation, instance, input.to);

  return startRun(invocation, type, input, {
    what: `${type} of ${instance} to ${input.to}`,
    started: { to: input.to },
  });
}

function given<T>(name: string, value: T | undefined): Record<string, T> {
  return value === undefined ? {} : { [name]: value };
}
