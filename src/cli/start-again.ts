import type { WorkflowType } from '../contract/ids.js';
import type { DataInput, UnwindInput } from '../contract/input.js';
import { switchOption, type Invocation } from './command.js';
import { CliFailure, CommandError } from './failure.js';
import type { OpenRun } from './open-run.js';
import { commandOperands, progressBlock } from './progress.js';
import type { Runs } from './runs.js';
import { showRun } from './watch/show-run.js';

/** Fields of the input whose flag has another name, and what sets them while the run goes. */
const FLAGS: Readonly<Record<string, string>> = { acceptDataLoss: '--accept-data-loss', takeOver: '--take-over' };

/**
 * The instance is on its way already: that run is shown. With `--wait` it is followed, if it is the one that was asked for.
 * @throws {CommandError} AlreadyRunning, what became of the start being `refused`.
 */
export async function showOpenRun(
  runs: Runs,
  invocation: Invocation,
  type: WorkflowType,
  input: UnwindInput | DataInput,
  refused: CommandError,
): Promise<number> {
  const { options, terminal, json } = invocation;
  const { instance } = input;
  const data = 'id' in input ? input.id : undefined;
  const open = await runs.findOpen(instance);
  if (open === null) throw endedMeanwhile(refused);

  const operands = commandOperands(instance, data);
  const said = `${words(open, operands)} Nothing was started.${notGiven(open, input)}`;
  const asked = isAskedFor(open, type, input);
  if (asked && switchOption(options, 'wait')) {
    (json ? terminal.err : terminal.out)(`${said} This is that run:`);
    return showRun(runs, invocation, { instance, data, startedAt: open.startTime.getTime() });
  }

  const answer = await runs.status(instance);
  const status = answer.kind === 'answered' ? answer.status : null;
  if (!json && status) terminal.out(progressBlock(status, terminal, Date.now() - open.startTime.getTime()));
  const next = asked
    ? `Stay with it: "pg-unwind watch ${operands}".`
    : `It does not go where this start was to go: let it end, or end it with "pg-unwind abort ${operands}", and start again.`;
  const { workflowId, runId, startTime } = open;
  throw new CommandError(CliFailure.AlreadyRunning, `${said} ${next} Look at it with "pg-unwind status ${operands}".`, {
    details: { workflowId, runId, type: open.type, startedAt: startTime.toISOString(), input: open.input, status },
    cause: refused,
  });
}

function isAskedFor(open: OpenRun, type: WorkflowType, input: UnwindInput | DataInput): boolean {
  const [key, where] = 'to' in input ? ['to', input.to] : ['direction', input.direction];
  return open.type === type && open.input?.[key] === where;
}

function words({ type, workflowId, startTime, input }: OpenRun, operands: string): string {
  const where = input?.['to'] ?? input?.['direction'];
  const by = input?.['by'];
  return (
    `A run of ${operands} is open, and there is one at a time: ${type}${typeof where === 'string' ? ` to ${where}` : ''} ` +
    `(${workflowId}), since ${startTime.toISOString()}${typeof by === 'string' ? `, started by ${by}` : ''}.`
  );
}

/** Consent above all: nobody must believe that it was given. */
function notGiven({ input: given }: OpenRun, input: UnwindInput | DataInput): string {
  const other = Object.entries(input)
    .filter(([key]) => !['instance', 'id', 'to', 'direction', 'by'].includes(key))
    .filter(([key, value]) => JSON.stringify(given?.[key]) !== JSON.stringify(value))
    .map(([key]) => FLAGS[key] ?? `--${key}`);
  return other.length === 0
    ? ''
    : ` It was started without this ${other.join(' and ')}, which changes nothing about it.`;
}

function endedMeanwhile(refused: CommandError): CommandError {
  return new CommandError(
    CliFailure.AlreadyRunning,
    'A run of this instance was open when this one was to be started, and has ended since. Nothing was started. Type it again.',
    { details: refused.details, cause: refused },
  );
}
