import type { Invocation } from '../command.js';
import { operatorName } from '../operator.js';
import { DETACHED, exitCodeOfReport, followRun, leftText, printReport } from '../follow.js';
import { onInterrupt } from '../interrupt.js';
import { progressBlock } from '../progress.js';
import type { Runs } from '../runs.js';
import { openScreen } from './screen.js';
import { watchRun } from './watch-run.js';

/** Shows a run until its end: on the whole screen of a terminal with a keyboard, else in lines. @returns the exit code. */
export async function showRun(
  runs: Runs,
  invocation: Invocation,
  { instance, data, startedAt }: { instance: string; data: string | undefined; startedAt: number },
): Promise<number> {
  const { terminal, json } = invocation;
  const interrupt = onInterrupt();
  try {
    if (json || !terminal.interactive || process.stdin.isTTY !== true) {
      return await followRun(runs, terminal, { instance, json, signal: interrupt.signal, ...(data ? { data } : {}) });
    }
    const open = (events: Parameters<typeof openScreen>[2]) => openScreen(process.stdin, process.stdout, events);
    const watched = await watchRun(runs, open, terminal.colors, {
      instance,
      by: operatorName(invocation),
      startedAt,
      signal: interrupt.signal,
    });
    if (watched.status !== null) terminal.out(progressBlock(watched.status, terminal, Date.now() - startedAt));
    if (watched.kind === 'left') {
      terminal.err(leftText(instance, data));
      return DETACHED;
    }
    printReport(watched.report, terminal, false);
    return exitCodeOfReport(watched.report);
  } finally {
    interrupt.release();
  }
}
