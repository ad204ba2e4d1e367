import { setTimeout as sleep } from 'node:timers/promises';
import { ExitCode } from '../../contract/errors.js';
import { workflowIdOf, WorkflowType } from '../../contract/ids.js';
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
import { followRun } from '../follow.js';
import { onInterrupt } from '../interrupt.js';
import type { Runs } from '../runs.js';
import { expectKnownTarget, withRuns } from '../session.js';
import { printJson } from '../terminal.js';
import { operatorName } from './updates.js';

const OPTIONS: readonly OptionSpec[] = [
  { flags: '--to <release>', description: 'the release to end at', required: true },
  { flags: '--from <release>', description: 'guard: fail unless the instance stands exactly there' },
  {
    flags: '--via <releases>',
    description: 'wait on the way for "continue": every-release, every-minor, or labels with commas between',
  },
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

const WAITING =
  'With --wait on a terminal the display stays while the run waits for an operator, and Ctrl-C leaves the run alone (exit code 130). ' +
  'Elsewhere it prints lines, and ends with exit code 3 as soon as the run parks or waits for consent.';

export const downgradeCommand: CommandSpec = {
  name: 'downgrade',
  args: '<instance>',
  summary: 'Start the downgrade of an instance through Temporal.',
  details: WAITING,
  options: OPTIONS,
  examples: ['downgrade acme-eu --to v5.8.1579 --wait', 'downgrade acme-eu --to v5.8.1579 --accept-data-loss 3fc8…'],
  json: true,
  run: (invocation) => start(invocation, WorkflowType.downgrade),
};

export const upgradeCommand: CommandSpec = {
  name: 'upgrade',
  args: '<instance>',
  summary: 'Start the upgrade of an instance through Temporal; an empty database is a fine place to start.',
  details: WAITING,
  options: OPTIONS,
  examples: ['upgrade acme-eu --to v7.2.0 --wait'],
  json: true,
  run: (invocation) => start(invocation, WorkflowType.upgrade),
};

async function start(invocation: Invocation, type: WorkflowType): Promise<number> {
  const { options, terminal, json } = invocation;
  const instance = argument(invocation, 0);
  const input = parseUnwindInput({
    instance,
    to: requiredOption(options, 'to'),
    by: operatorName(invocation),
    ...given('from', stringOption(options, 'from')),
    ...via(stringOption(options, 'via')),
    ...given('acceptDataLoss', stringOption(options, 'acceptDataLoss')),
    ...given('blockers', stringOption(options, 'blockers')),
    ...(switchOption(options, 'takeOver') ? { takeOver: true } : {}),
  });
  // The workflow looks again, with the worker's catalog; here it costs milliseconds and answers before anything is started.
  await expectKnownTarget(invocation, instance, input.to);

  return withRuns(invocation, instance, async (runs) => {
    const { runId } = await runs.start(type, input);
    if (!switchOption(options, 'wait')) {
      printStarted(invocation, { instance, type, to: input.to, workflowId: workflowIdOf(instance), runId });
      await warnWithoutWorker(runs, invocation);
      return ExitCode.done;
    }
    if (!json) terminal.out(`${type} of ${instance} to ${input.to} started (workflow ${workflowIdOf(instance)}).`);
    await warnWithoutWorker(runs, invocation);
    const interrupt = onInterrupt();
    try {
      return await followRun(runs, terminal, { instance, json, signal: interrupt.signal });
    } finally {
      interrupt.release();
    }
  });
}

interface Started {
  readonly instance: string;
  readonly type: WorkflowType;
  readonly to: string;
  readonly workflowId: string;
  readonly runId: string;
}

function printStarted({ terminal, json }: Invocation, started: Started): void {
  if (json) return printJson(terminal, started);
  terminal.out(
    `${started.type} of ${started.instance} to ${started.to} started (workflow ${started.workflowId}, run ${started.runId}).`,
  );
  terminal.out(`See "pg-unwind status ${started.instance}".`);
}

const WORKER_WITHIN_MS = 3_000;

/** A start without a worker succeeds and then nothing happens: say so instead of leaving the operator to wonder. */
async function warnWithoutWorker(runs: Runs, { terminal }: Invocation): Promise<void> {
  const deadline = Date.now() + WORKER_WITHIN_MS;
  for (;;) {
    if ((await runs.pollers()) > 0) return;
    if (Date.now() >= deadline) break;
    await sleep(250);
  }
  terminal.err(
    `warning: no worker polls the task queue "${runs.taskQueue}" in the namespace "${runs.namespace}". ` +
      `The run is stored and begins as soon as one does: "pg-unwind worker".`,
  );
}

/** `every-release` and `every-minor` are words; everything else is a list of labels. */
function via(text: string | undefined): { via?: string | readonly string[] } {
  if (text === undefined) return {};
  return { via: text.startsWith('every-') ? text : text.split(',').map((label) => label.trim()) };
}

function given(name: string, value: string | undefined): Record<string, string> {
  return value === undefined ? {} : { [name]: value };
}
