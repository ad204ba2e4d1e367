import { ExitCode } from '../../contract/errors.js';
import { UpdateName, type StatusReport } from '../../contract/messages.js';
import {
  argument,
  requiredOption,
  stringOption,
  type CommandSpec,
  type Invocation,
  type OptionSpec,
} from '../command.js';
import { CliFailure, CommandError } from '../failure.js';
import { operatorName } from '../operator.js';
import { progressLine, waitingLines, waitsForPerson } from '../progress.js';
import { withRuns } from '../session.js';
import { printJson } from '../terminal.js';

const WHO: readonly OptionSpec[] = [
  { flags: '--by <name>', description: 'who decides, for the journal (else the name of the user that runs this)' },
  { flags: '--why <text>', description: 'why, for the journal' },
];

/** For the commands about a run: another run than the way of the instance is meant. */
export const DATA_OPTION: OptionSpec = {
  flags: '--data <id>',
  description: 'the run of this data migration by itself ("pg-unwind data run")',
};

export const approveCommand: CommandSpec = {
  name: 'approve',
  args: '<instance>',
  summary: 'Consent to what the plan of a waiting run destroys.',
  details: 'The consent is to exactly this plan: the id is printed by "pg-unwind plan" and by "pg-unwind status".',
  options: [{ flags: '--plan <id>', description: 'the plan that is consented to', required: true }, ...WHO],
  examples: [
    'approve shop-dev --plan 3fc8a1d0c7be5e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081 --why "ticket OPS-1182"',
  ],
  json: true,
  run: (invocation) => send(invocation, UpdateName.approve, { plan: requiredOption(invocation.options, 'plan') }),
};

export const retryCommand: CommandSpec = {
  name: 'retry',
  args: '<instance>',
  summary: 'Go on with a run that needs an operator, now that the cause is gone.',
  options: [{ flags: '--database <name>', description: 'which one, when several are parked' }, DATA_OPTION, ...WHO],
  examples: ['retry shop-dev', 'retry shop-dev --database frontend --why "dropped the stray index"'],
  json: true,
  run: (invocation) =>
    send(invocation, UpdateName.retryStep, optional('database', stringOption(invocation.options, 'database'))),
};

const MUST_SAY_WHY: readonly OptionSpec[] = [
  { flags: '--by <name>', description: 'who decides, for the journal (else the name of the user that runs this)' },
  { flags: '--why <text>', description: 'why, for the journal', required: true },
];

export const acceptCommand: CommandSpec = {
  name: 'accept',
  args: '<instance> <code>',
  summary: 'Accept one reason of a dirty check as it was shown, with a reason of your own, and go on.',
  details:
    'Codes: changedByOthers, invalidIndex, dataNotAtEnd. What was shown is accepted and nothing else: where more is found by then, nothing ' +
    'is, and the run shows it. The decision is in the journal, in the transaction that lets the run go on.',
  options: [{ flags: '--database <name>', description: 'which one, when several are parked' }, ...MUST_SAY_WHY],
  examples: ['accept shop-dev changedByOthers --why "the DBA\'s audit trigger stays, OPS-1182"'],
  json: true,
  run: (invocation) =>
    send(invocation, UpdateName.acceptDirty, {
      code: argument(invocation, 1),
      ...optional('database', stringOption(invocation.options, 'database')),
    }),
};

export const skipCommand: CommandSpec = {
  name: 'skip',
  args: '<instance>',
  summary: 'Take over the step at which a database is parked: its effect is there already, or you see to it.',
  details:
    'The step is not run, and counts as done. "--ledger record" writes the product\'s ledger row as if it had succeeded; "--ledger keep" ' +
    'leaves the ledger, which must say so already. What the schema is by then is what later checks count from.',
  options: [
    {
      flags: '--ledger <how>',
      description: "what becomes of the product's ledger",
      choices: ['record', 'keep'],
      required: true,
    },
    { flags: '--database <name>', description: 'which one, when several are parked' },
    ...MUST_SAY_WHY,
  ],
  examples: ['skip shop-dev --ledger record --why "ran the rest of the script by hand"'],
  json: true,
  run: (invocation) =>
    send(invocation, UpdateName.skipStep, {
      ledger: requiredOption(invocation.options, 'ledger'),
      ...optional('database', stringOption(invocation.options, 'database')),
    }),
};

export const pauseCommand: CommandSpec = {
  name: 'pause',
  args: '<instance>',
  summary: 'Let a run begin nothing more: a running script ends, a data migration stops between two batches.',
  options: [DATA_OPTION, ...WHO],
  examples: ['pause shop-dev --why "the disk is filling up"'],
  json: true,
  run: (invocation) => send(invocation, UpdateName.pause, {}),
};

export const resumeCommand: CommandSpec = {
  name: 'resume',
  args: '<instance>',
  summary: 'Go on with a paused run, beginning with a check.',
  options: [DATA_OPTION, ...WHO],
  examples: ['resume shop-dev'],
  json: true,
  run: (invocation) => send(invocation, UpdateName.resume, {}),
};

export const continueCommand: CommandSpec = {
  name: 'continue',
  args: '<instance>',
  summary: 'Let a run leave the release at which it waits ("--via"), now that the application has followed.',
  options: [
    { flags: '--release <release>', description: 'guard: the release at which it is believed to wait' },
    ...WHO,
  ],
  examples: ['continue shop-dev --release v2.1.0'],
  json: true,
  run: (invocation) =>
    send(invocation, UpdateName.continue, optional('release', stringOption(invocation.options, 'release'))),
};

export const abortCommand: CommandSpec = {
  name: 'abort',
  args: '<instance>',
  summary: 'End a run where it stands: steps in progress are finished or rolled back, none begins.',
  options: [
    {
      flags: '--at <when>',
      description: 'now, or when all databases stand at the next release',
      choices: ['now', 'boundary'],
    },
    DATA_OPTION,
    ...WHO,
  ],
  examples: ['abort shop-dev --why "the vendor fixed v3.0.1"', 'abort shop-dev --at boundary'],
  json: true,
  run: (invocation) => send(invocation, UpdateName.abort, optional('at', stringOption(invocation.options, 'at'))),
};

export const turnBackCommand: CommandSpec = {
  name: 'turn-back',
  args: '<instance>',
  summary: 'Take a run back to the release where it began, as a run in the other direction.',
  details:
    'What runs ends first. The new run plans from where the databases stand; content that was destroyed does not come back, and ' +
    'its status names the steps. A plan that loses content asks for consent as always.',
  options: WHO,
  examples: ['turn-back shop-dev --why "the older release is worse"'],
  json: true,
  run: (invocation) => send(invocation, UpdateName.turnBack, {}),
};

export const setOptionsCommand: CommandSpec = {
  name: 'set-options',
  args: '<instance>',
  summary: 'Change options for the rest of a run: time limits, what may be done about blockers, sizes of batches.',
  details:
    'JSON, as the update takes it: stepTimeoutSeconds, heartbeatTimeoutSeconds, maximumAttempts, blockers, and data with batchTargetMs, ' +
    'firstBatchRows, mostBatchRows, stallBatches, maxReplicationLagSeconds, pauseWhenLocksWait. A script that runs keeps what it began ' +
    'with; a data migration goes on at its cursor with the new ones.',
  options: [{ flags: '--set <json>', description: 'the options', required: true }, DATA_OPTION, ...WHO],
  examples: [
    `set-options shop-dev --set '{"blockers":"terminateIdle"}'`,
    `set-options shop-dev --set '{"data":{"mostBatchRows":1000}}' --why "the standby lags"`,
  ],
  json: true,
  run: (invocation) => send(invocation, UpdateName.setOptions, jsonObject(requiredOption(invocation.options, 'set'))),
};

/** @throws {CommandError} Usage. */
function jsonObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // said below
  }
  throw new CommandError(
    CliFailure.Usage,
    `--set takes one JSON object such as '{"blockers":"terminateIdle"}', in quotes for the shell. It was given ${JSON.stringify(text)}. Nothing was done.`,
  );
}

async function send(invocation: Invocation, update: string, input: Readonly<Record<string, unknown>>): Promise<number> {
  const instance = argument(invocation, 0);
  const who = { by: operatorName(invocation), ...optional('why', stringOption(invocation.options, 'why')) };
  const status = await withRuns(invocation, instance, async (runs) => {
    const answer = await runs.update(instance, update, { ...input, ...who }, ({ own }) =>
      invocation.terminal.err(
        `No worker on the task queue "${own}" has answered yet. "${update}" is waited for, up to a minute in all; only a worker that is running can take it.`,
      ),
    );
    // The answer is given before the run has turned: asked again, it shows where the decision led.
    const after = await runs.status(instance);
    return after.kind === 'answered' ? after.status : answer;
  });
  printStatus(invocation, status);
  return ExitCode.done;
}

/** The update was accepted, or it would have thrown. */
function printStatus({ terminal, json }: Invocation, status: StatusReport): void {
  if (json) return printJson(terminal, status);
  terminal.out(progressLine(status));
  if (waitsForPerson(status)) terminal.out(waitingLines(status, terminal.colors).join('\n').trimStart());
}

function optional(name: string, value: string | undefined): Record<string, string> {
  return value === undefined ? {} : { [name]: value };
}
