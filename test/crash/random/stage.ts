import type { CaseContext } from './context.js';
import type { RunControl } from './run-control.js';
import type { Standing } from './start-state.js';
import type { Workers } from './workers.js';

/** What a fault can be done to. */
export interface Stage {
  readonly context: CaseContext;
  readonly control: RunControl;
  readonly workers: Workers;
  /** What goes on beside the faults that follow: locks that somebody keeps. */
  readonly beside: Promise<void>[];
  /** The run has ended for good: what has not come yet does not come any more. */
  readonly isOver: () => boolean;
}

export function standingAt({ context: { standings } }: Stage, database: number): Standing {
  return standings[database % standings.length] as Standing;
}
