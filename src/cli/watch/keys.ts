import { UpdateName } from '../../contract/messages.js';
import type { ShownStatus } from '../data-figures.js';

/** What a key does: an update, one after the other where several databases are meant; or the display is left. */
export interface KeyAction {
  readonly key: string;
  /** Of the hint: `p pause`. */
  readonly label: string;
  readonly update: string | null;
  readonly inputs: readonly Readonly<Record<string, string>>[];
  /** Asked first; null: done at once. */
  readonly confirm: string | null;
}

export const LEAVE: KeyAction = {
  key: 'q',
  label: 'leave (the run goes on)',
  update: null,
  inputs: [],
  confirm: null,
};

/** The keys that fit the state; consent to a loss is typed as a command, with the plan's id. */
export function keysFor(status: ShownStatus | null): readonly KeyAction[] {
  if (status === null || OVER.has(status.state)) return [LEAVE];
  const abort: KeyAction = {
    key: 'a',
    label: 'abort',
    update: UpdateName.abort,
    inputs: [{}],
    confirm: `Abort ${status.instance}? y/N  (steps in progress end first, none begins)`,
  };
  return [...forward(status), abort, LEAVE];
}

const OVER: ReadonlySet<string> = new Set(['completed', 'aborted', 'cancelled']);

function forward(status: ShownStatus): KeyAction[] {
  const key = (name: string, label: string, update: string, inputs: KeyAction['inputs'] = [{}]): KeyAction[] => [
    { key: name, label, update, inputs, confirm: null },
  ];
  switch (status.state) {
    case 'paused':
      return key('r', 'resume', UpdateName.resume);
    case 'needsOperator': {
      const parked = [...new Set(status.parked.flatMap(({ database }) => (database === null ? [] : [database])))];
      if (parked.length < 2) return key('r', 'retry', UpdateName.retryStep);
      return key(
        'r',
        `retry all ${parked.length}`,
        UpdateName.retryStep,
        parked.map((database) => ({ database })),
      );
    }
    case 'atStop': {
      if (status.hook?.state === 'calling') return [];
      const guarded = status.release !== null && (status.hook === undefined || status.hook.name === 'atStop');
      return key('r', 'continue', UpdateName.continue, [guarded ? { release: status.release } : {}]);
    }
    case 'awaitingApproval':
    case 'turningBack':
      return [];
    default:
      return key('p', 'pause', UpdateName.pause);
  }
}

/** What was typed; null for what is no key: an arrow, a paste. */
export function keyIn(chunk: string): string | null {
  if (chunk === '\u0003' || chunk === '\u0004') return LEAVE.key; // Ctrl-C, Ctrl-D: no signals in raw mode
  if (chunk === '' || chunk.length > 3 || /\p{Cc}/u.test(chunk)) return null;
  return chunk.slice(0, 1).toLowerCase();
}
