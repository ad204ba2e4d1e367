import { type DirtyCode, isAcceptable } from '../contract/dirty.js';
import { FailureType } from '../contract/errors.js';
import { type Parked, type RunState, UpdateName } from '../contract/messages.js';
import { acceptInput, isSkippable, skipInput } from './overrule-refusals.js';
import { isHalted, type Progress, stateOf } from './progress.js';

/** An update that a person may send now, and that the run would take. */
export interface Move {
  readonly name: UpdateName;
  readonly input: Readonly<Record<string, string | number>>;
  /** When it is the right one: goes on behind its name. */
  readonly when: string;
}

/** The likeliest first; empty where nothing is left to be said. */
export function movesOf(progress: Progress): readonly Move[] {
  const state = stateOf(progress);
  return [...answersTo(progress, state), ...waysOut(progress, state)];
}

function answersTo(progress: Progress, state: RunState): readonly Move[] {
  const { plan, parked } = progress;
  switch (state) {
    case 'needsOperator': {
      const byHand = move(UpdateName.continue, {}, 'where somebody has done by hand what the hook is for');
      return [
        ...[...parked.values()].flatMap((entry) => remedies(progress, entry)),
        ...(isHalted(progress) ? [byHand] : []),
      ];
    }
    case 'awaitingApproval':
      return plan === null ? [] : [move(UpdateName.approve, { plan: plan.plan }, 'where all of it may be lost')];
    case 'running':
      return [move(UpdateName.pause, {}, 'to begin nothing more until `resume`')];
    case 'paused':
      return [move(UpdateName.resume, {}, 'to go on')];
    case 'atStop':
      return [move(UpdateName.continue, {}, 'to leave this release')];
    default:
      return [];
  }
}

function waysOut(progress: Progress, state: RunState): readonly Move[] {
  const { plan, asked, aborting, ending, parked } = progress;
  const over = state === 'completed' || state === 'aborted' || state === 'cancelled';
  if (over || aborting || ending) return [];
  const anew = [...parked.values()].some(needsNewPlan);
  const abort = move(
    UpdateName.abort,
    {},
    anew ? 'and start again: a new run plans from what is there' : 'to end the run where it stands; nothing is undone',
  );
  if (state !== 'needsOperator' || !plan?.from || asked !== null) return [abort];
  return [abort, move(UpdateName.turnBack, {}, `to go back to ${plan.from}; what was destroyed stays lost`)];
}

/** What goes on where one entry is parked. */
function remedies(progress: Progress, entry: Parked): readonly Move[] {
  const { parked } = progress;
  const { database, reasons } = entry;
  const which = parked.size > 1 && database !== null ? { database } : {};
  const skip = isSkippable(entry)
    ? [move(UpdateName.skipStep, skipInput(progress, database ?? ''), whenToSkip(entry))]
    : [];
  const accept = reasons
    .filter(({ code }) => isAcceptable(code))
    .map((reason) => move(UpdateName.acceptDirty, acceptInput(progress, reason), 'where what was found may stay'));
  const more = optionsFor(progress, entry);
  const retry = move(UpdateName.retryStep, which, more.length > 0 ? 'behind that' : whenToRetry(entry));
  return [...more, ...(needsNewPlan(entry) ? [] : [retry]), ...accept, ...skip];
}

/** A repeat with the same limits would end the same way. */
function optionsFor({ options, plan }: Progress, { failure, during }: Parked): readonly Move[] {
  if (failure === 'Timeout:START_TO_CLOSE' && during === 'step') {
    const seconds = options.stepTimeoutSeconds ?? plan?.options.stepTimeoutSeconds ?? 0;
    return [move(UpdateName.setOptions, { stepTimeoutSeconds: seconds * 2 }, 'to give its steps more time')];
  }
  if (failure === FailureType.StepInterrupted) {
    return [move(UpdateName.setOptions, { blockers: 'terminateIdle' }, 'where idle sessions in the way may be ended')];
  }
  return [];
}

const ANEW: ReadonlySet<string> = new Set([
  FailureType.StepUndecided,
  FailureType.JournalIncomplete,
  FailureType.JournalBehind,
]);
const ANEW_CODES: ReadonlySet<DirtyCode> = new Set(['unfinishedStep', 'unknownAppliedId']);

/** No repeat of this run can cure it. */
function needsNewPlan({ failure, reasons }: Parked): boolean {
  return ANEW.has(failure) || reasons.some(({ code }) => ANEW_CODES.has(code));
}

function whenToRetry({ failure }: Parked): string {
  if (failure === FailureType.DirtyDatabase) return 'once that is put right';
  if (failure === FailureType.HandlerUnavailable) return 'once its worker runs';
  return 'once the cause is gone';
}

function whenToSkip({ failure }: Parked): string {
  if (failure === FailureType.DirtyDatabase) return "where what was found is this step's own effect";
  return failure === FailureType.StepUndecided
    ? 'once you have completed the step by hand'
    : 'where you have carried the step out by hand';
}

function move(name: UpdateName, input: Move['input'], when: string): Move {
  return { name, input, when };
}
