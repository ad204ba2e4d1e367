import { FailureType, UnwindError } from '../contract/errors.js';
import type { RawCheck } from '../journal/answers.js';
import { columnOf, type MessageResult, type Notice } from '../postgres/message.js';
import type { BegunRow, RecordedResult } from './failures.js';
import type { StepOrder } from './order.js';

/** What the last message of a step brought. */
export interface CarriedOut {
  readonly result: RecordedResult;
  readonly check: RawCheck | null;
  readonly notices: readonly Notice[];
}

/** Temp tables, prepared statements, cursors of the units before are gone with the session that had them. */
export function refuseLostSession(order: StepOrder, begun: BegunRow): void {
  const { sessionState } = order.script.facts;
  if (sessionState.length === 0 || begun.unit === 0) return;
  throw new UnwindError(
    FailureType.StepUndecided,
    `${order.migration} ${order.direction} on "${order.database}" died after part ${begun.unit} of ${order.script.facts.units.length}. Its later parts need ` +
      `what the lost session held (${sessionState.join(', ')}), so it cannot go on by itself. The parts done are durable. ` +
      'Complete the rest by hand, then send "skipStep"; or put ledger and schema on one side of it, then "abort" and start again.',
    { details: { unit: begun.unit, units: order.script.facts.units.length } },
  );
}

export function carriedOut(message: MessageResult): CarriedOut {
  const result = columnOf<RecordedResult>(message, 'pgu_end');
  if (result === undefined) throw new Error('the message of a step brought no record; this is a fault of pg-unwind');
  return { result, check: columnOf<RawCheck>(message, 'pgu_check') ?? null, notices: message.notices };
}
