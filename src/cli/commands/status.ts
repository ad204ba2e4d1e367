import { ExitCode } from '../../contract/errors.js';
import { createFigures, type ShownStatus } from '../data-figures.js';
import { argument, type CommandSpec, type Invocation } from '../command.js';
import { DATA_OPTION } from './updates.js';
import { exitCodeOfReport, printReport } from '../follow.js';
import { progressBlock, waitsForPerson } from '../progress.js';
import { noWorker } from '../failure.js';
import type { Runs } from '../runs.js';
import { withRuns } from '../session.js';
import { printJson } from '../terminal.js';

export const statusCommand: CommandSpec = {
  name: 'status',
  args: '<instance>',
  summary: 'Where the run of an instance is, what it waits for, and the next commands.',
  details:
    'Exit code 3 while it waits for an operator (or for a worker), 4 when it was aborted or stopped, 0 otherwise.',
  options: [DATA_OPTION],
  examples: ['status shop-dev', 'status shop-dev --json', 'status shop-dev --data 1'],
  json: true,
  run: (invocation) => {
    const instance = argument(invocation, 0);
    return withRuns(invocation, instance, (runs) => showStatus(invocation, runs, instance));
  },
};

async function showStatus(invocation: Invocation, runs: Runs, instance: string): Promise<number> {
  const { terminal, json } = invocation;
  const description = await runs.describe(instance);
  if (description.status.name !== 'RUNNING') {
    const report = await runs.result(instance);
    printReport(report, terminal, json);
    return exitCodeOfReport(report);
  }
  const answer = await runs.status(instance);
  if (answer.kind === 'unanswered')
    throw noWorker(instance, runs.handle(instance).workflowId, {
      own: description.taskQueue,
      configured: runs.taskQueue,
    });
  const status = await createFigures(runs, instance)(answer.status);
  if (json) printJson(terminal, status);
  else terminal.out(statusText(status, invocation, Date.now() - description.startTime.getTime()));
  return waitsForPerson(status) ? ExitCode.needsOperator : ExitCode.done;
}

function statusText(status: ShownStatus, { terminal }: Invocation, elapsedMs: number): string {
  const decisions = status.decisions.map(
    (it) =>
      `decided: ${it.kind} at ${it.at}${it.by === null ? '' : ` by ${it.by}`}${it.why === null ? '' : `: ${it.why}`}`,
  );
  return [
    progressBlock(status, terminal, elapsedMs),
    ...(status.plan === null ? [] : [`plan ${status.plan}`]),
    ...decisions,
    ...status.warnings.map((text) => `warning: ${text}`),
  ].join('\n');
}
