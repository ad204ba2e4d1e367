import type { PlanSummary } from '../contract/activities.js';
import type { Parked } from '../contract/messages.js';
import { type Notice, type NoticeEvent, noticeKey, type ParkedNotice } from '../contract/notices.js';
import { commandsOf } from './commands.js';
import { placeOf, resultOf } from './hook-document.js';
import { now, type Progress, sum } from './progress.js';
import { statusOf } from './status.js';

/** Events that end a run: nothing is to be typed any more. */
const ENDS: ReadonlySet<NoticeEvent> = new Set(['completed', 'aborted', 'cancelled', 'failed']);

interface About {
  readonly event: NoticeEvent;
  readonly number: number;
  /** Of this one event, in no other history the same. */
  readonly unique: string;
  readonly parked?: Parked;
  /** In place of what is said of such an event. */
  readonly message?: string;
}

/**
 * What `hooks.notify` is given.
 * @param plan - Null: there is none yet.
 */
export function noticeOf(progress: Progress, plan: PlanSummary | null, about: About): Notice {
  const { event, number, unique, parked } = about;
  const { halt, leg, verified, asked } = progress;
  const stops = plan?.stops ?? [];
  const isOver = ENDS.has(event);
  const behind = isOver || event !== 'atStop' || halt?.leg == null ? verified : halt.leg + 1;
  const atStop = event === 'atStop' && halt?.hook === 'atStop' && halt.leg !== null ? halt.leg : null;
  return {
    hook: 'notify',
    event,
    number,
    at: now(),
    message: about.message ?? messageOf(progress, plan, about),
    plan: plan?.plan ?? null,
    ...placeOf(progress, plan, behind),
    release: event === 'atStop' && halt ? halt.release : standingAt(progress, plan),
    ...(isOver ? { next: null } : {}),
    leg: leg === null ? null : leg + 1,
    stop: atStop === null ? null : { number: stops.indexOf(atStop) + 1, of: stops.length },
    idempotencyKey: noticeKey(progress.run, number, unique),
    result: event === 'completed' ? resultOf(progress) : null,
    parked: parked ? parkedOf(parked) : null,
    waitingFor: isOver ? null : statusOf(progress).waitingFor,
    commands: isOver ? [] : commandsOf(progress),
    dataMigration: asked === null ? null : { id: asked.id, direction: asked.direction },
  };
}

/** Null: between two releases. */
function standingAt({ legs, verified }: Progress, plan: PlanSummary | null): string | null {
  const next = legs[verified];
  if (next && sum(next.done) + sum(next.dataDone ?? {}) > 0) return null;
  return legs[verified - 1]?.release ?? plan?.from ?? null;
}

function parkedOf({ database, during, failure, migration, reasons }: Parked): ParkedNotice {
  return { database, during, failure, migration, reasons: reasons.map(({ code }) => code) };
}

function messageOf(progress: Progress, plan: PlanSummary | null, { event, parked }: About): string {
  const { input, asked, halt, turningBack } = progress;
  const to = plan?.to ?? input.to;
  const subject =
    asked === null
      ? `${input.instance} on its way to ${to}`
      : `Data migration ${asked.id} (${asked.direction}) of ${input.instance}`;
  switch (event) {
    case 'parked':
      return `${subject} needs an operator. ${parked === undefined ? '' : placeText(parked)}`.trim();
    case 'awaitingApproval':
      return `${subject} waits for consent: ${plan?.destructiveSteps} steps of plan ${plan?.plan} lose content.`;
    case 'atStop':
      return `${subject} stands ${halt?.release == null ? 'between two releases' : `at ${halt.release}`} and waits for the update "continue".`;
    case 'completed':
      return asked === null ? `${input.instance} stands at ${to}.` : `${subject} is at its end.`;
    case 'aborted':
      return turningBack
        ? `${subject} ended where it was and is turned back to ${plan?.from}.`
        : `${subject} was aborted.`;
    case 'cancelled':
      return `${subject} was cancelled.`;
    case 'failed':
      return `${subject} failed.`;
    default:
      return event satisfies never;
  }
}

function placeText({ database, during, failure, migration, seq }: Parked): string {
  const what = `${during}${migration === null ? '' : ` of ${migration}`}${seq === null ? '' : ` (step ${seq})`}`;
  return `${database === null ? 'The instance' : `"${database}"`} is parked during ${what}: ${failure}.`;
}
