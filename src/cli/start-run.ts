import { setTimeout as sleep } from 'node:timers/promises';
import { ExitCode } from '../contract/errors.js';
import type { WorkflowType } from '../contract/ids.js';
import type { DataInput, UnwindInput } from '../contract/input.js';
import { switchOption, type Invocation } from './command.js';
import { CliFailure, CommandError } from './failure.js';
import { commandOperands } from './progress.js';
import type { Runs } from './runs.js';
import { withRuns } from './session.js';
import { showOpenRun } from './start-again.js';
import { printJson } from './terminal.js';
import { showRun } from './watch/show-run.js';

/** For the details of a command with `--wait`. */
export const WAITING =
  'With --wait on a terminal it is shown as "pg-unwind watch" does, also while it waits for an operator; q or Ctrl-C leaves the run alone ' +
  '(exit code 130). ' +
  'Elsewhere it prints lines, and ends with exit code 3 as soon as the run parks or waits for consent. ' +
  'A second run is never started beside an open one: that one is shown (exit code 2), and --wait stays with it if it goes the same way.';

/** Starts a run; with `--wait` it is followed to its end. @param what - `downgrade of acme-eu to v5.8.1579`. @returns the exit code. */
export async function startRun(
  invocation: Invocation,
  type: WorkflowType,
  input: UnwindInput | DataInput,
  { what, started }: { what: string; started: Readonly<Record<string, string>> },
): Promise<number> {
  const { options, terminal, json } = invocation;
  const { instance } = input;
  const data = 'id' in input ? input.id : undefined;
  const work = async (runs: Runs) => {
    const begun = await runs.start(type, input).catch((error: unknown) => {
      if (isOfThisRun(error, runs, instance)) return error;
      throw error;
    });
    if (begun instanceof CommandError) return showOpenRun(runs, invocation, type, input, begun);
    const { workflowId, runId } = begun;
    if (!switchOption(options, 'wait')) {
      if (json) printJson(terminal, { instance, type, ...started, workflowId, runId });
      else {
        terminal.out(`${what} started (workflow ${workflowId}, run ${runId}).`);
        terminal.out(`See "pg-unwind status ${commandOperands(instance, data)}".`);
      }
      await warnWithoutWorker(runs, invocation);
      return ExitCode.done;
    }
    if (!json) terminal.out(`${what} started (workflow ${workflowId}).`);
    await warnWithoutWorker(runs, invocation);
    return showRun(runs, invocation, { instance, data, startedAt: Date.now() });
  };
  return withRuns(invocation, instance, work, data);
}

/** Not of the way of the instance, beside which a data migration is not started. */
function isOfThisRun(error: unknown, runs: Runs, instance: string): error is CommandError {
  return (
    error instanceof CommandError &&
    error.code === CliFailure.AlreadyRunning &&
    error.details['workflowId'] === runs.handle(instance).workflowId
  );
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
