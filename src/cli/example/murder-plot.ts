import type { StatusReport } from '../../contract/messages.js';
import { durationText } from '../bars.js';
import type { Child } from './child.js';

/** A silence after the kill that is longer than Temporal needs to notice it. */
const SILENCE_MS = 30_000;

interface Scene {
  say(text: string): void;
  startWorker(): Promise<Child>;
}

/** Kills the worker half-way and in the middle of a leg, starts another, and times how long the run stood still. */
export function murderPlot({ say, startWorker }: Scene, worker: Child, total: number) {
  let killed: { at: number; steps: number } | null = null;
  let resumedAfterMs: number | null = null;
  let successor: Promise<unknown> = Promise.resolve();
  let before: StatusReport | null = null;
  let saidSilent = false;

  return {
    onStatus(status: StatusReport, note: (line: string) => void) {
      // Between two legs there may be nothing in the worker's hands; where steps are being done, there is.
      const busy = status.leg === before?.leg && status.stepsDone > before.stepsDone;
      before = status;
      if (killed === null && status.state === 'running' && busy && status.stepsDone >= total / 2) {
        worker.process.signal('SIGKILL');
        killed = { at: Date.now(), steps: status.stepsDone };
        note(
          `         worker ${worker.pid} killed with SIGKILL after ${status.stepsDone} of ${total} steps; starting another …`,
        );
        successor = startWorker().then((next) => note(`         worker ${next.pid} is ready`));
        successor.catch(() => undefined); // it is awaited below
      } else if (killed !== null && resumedAfterMs === null && status.stepsDone > killed.steps) {
        resumedAfterMs = Date.now() - killed.at;
        note(`         it goes on, ${durationText(resumedAfterMs)} after the kill`);
      }
    },
    /** Expected for as long as Temporal needs to notice the death; only a longer silence is worth a line. */
    onUnanswered(why: string, note: (line: string) => void) {
      if (killed === null || saidSilent || Date.now() - killed.at < SILENCE_MS) return;
      saidSilent = true;
      note(`         no answer ${durationText(Date.now() - killed.at)} after the kill: ${why}`);
    },
    async successor() {
      if (killed === null) say('The downgrade was over before its worker could be killed.');
      await successor;
    },
    told: () => ({ killedAtStep: killed?.steps ?? null, resumedAfterMs }),
  };
}
