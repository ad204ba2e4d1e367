import { z } from 'zod';
import type { DatabaseName } from '../contract/catalog.js';
import { ACCEPTABLE, type AcceptableCode, type DirtyCode, type DirtyReason, isAcceptable } from '../contract/dirty.js';
import { FailureType } from '../contract/errors.js';
import { type LedgerTreatment, type Parked, UpdateName } from '../contract/messages.js';
import { type Progress, stateOf } from './progress.js';
import { parse, refuse, refuseWhenOver, refuseWhileOverruling, who } from './refusals.js';

const why = z.string().trim().min(1, 'a reason of your own, for the journal').max(2000);
const acceptSchema = z.strictObject({ code: z.string(), database: z.string().optional(), by: who.by, why });
const skipSchema = z.strictObject({
  ledger: z.enum(['record', 'keep']),
  database: z.string().optional(),
  by: who.by,
  why,
});

const ASKED = '<why it may stay>';

/** What the update is about, found among what is parked now. */
export interface Accepted {
  readonly key: string;
  readonly entry: Parked;
  readonly reason: DirtyReason;
}

export function refuseAcceptDirty(progress: Progress, input: unknown): Accepted {
  refuseWhenOver(progress);
  const all = [...progress.parked].flatMap(([key, entry]) => entry.reasons.map((reason) => ({ key, entry, reason })));
  if (all.length === 0) {
    refuse(
      `Nothing is parked at a dirty check: the run is in the state "${stateOf(progress)}". Nothing was accepted.${otherwise(progress)}`,
    );
  }
  const shown = `Parked: ${all.map(({ reason }) => `${reason.database}: ${reason.code} (${reason.evidence})`).join('; ')}.`;
  const can = all.filter(({ reason }) => isAcceptable(reason.code));
  const examples = can.map((each) => JSON.stringify(acceptInput(progress, each.reason)));
  const example = examples[0] ?? JSON.stringify({ code: ACCEPTABLE[0], why: ASKED });
  if (input === undefined || input === null) {
    const say = examples.length === 0 ? noneOf(all) : `It takes ${examples.join(' or ')}, optionally with "by".`;
    refuse(`"${UpdateName.acceptDirty}" accepts one named reason. ${say} ${shown} Nothing was accepted.`);
  }
  const given = parse(acceptSchema, input, UpdateName.acceptDirty, example, '"database" and "by"');
  const named = all.filter(({ reason }) => reason.code === given.code);
  const meant = named.filter(({ reason }) => given.database === undefined || reason.database === given.database);
  const [found] = meant;
  if (!found) {
    const known = NOT_ACCEPTABLE[given.code as Exclude<DirtyCode, AcceptableCode>] as string | undefined;
    refuse(
      `"${given.code}" was not found${given.database === undefined ? '' : ` on "${given.database}"`}. ${shown} ` +
        `Nothing was accepted.${named.length === 0 && known !== undefined ? ` ${known}` : ''}`,
    );
  }
  if (!isAcceptable(found.reason.code)) {
    refuse(
      `"${given.code}" cannot be accepted: ${NOT_ACCEPTABLE[found.reason.code]} Nothing was accepted.`,
      FailureType.DirtyDatabase,
    );
  }
  if (new Set(meant.map(({ reason }) => reason.database)).size > 1) {
    refuse(`Several databases are parked at it. Say which one: ${examples.join(' or ')}. Nothing was accepted.`);
  }
  refuseWhileOverruling(progress, found.key);
  return found;
}

/** Ready to send, but for the reason. */
export function acceptInput({ parked }: Progress, { code, database }: DirtyReason): Record<string, string> {
  const reasons = [...parked.values()].flatMap((entry) => entry.reasons);
  const several = reasons.some((other) => other.database !== database);
  return { code, ...(several ? { database } : {}), why: ASKED };
}

function noneOf(all: readonly Accepted[]): string {
  const codes = new Set(all.map(({ reason }) => reason.code));
  const words = [...codes].flatMap((code) => (isAcceptable(code) ? [] : [`${code}: ${NOT_ACCEPTABLE[code]}`]));
  return `None of what is found can be accepted. ${words.join(' ')}`;
}

/** Why not, and what to do instead. */
const NOT_ACCEPTABLE: Readonly<Record<Exclude<DirtyCode, AcceptableCode>, string>> = {
  unfinishedStep:
    'another run stopped inside that step, and only it knows which parts are durable. Abort this run and start one to the target of that one: it takes the step up.',
  unfinishedLedgerRow:
    'the product\'s own migrator stands still on such a row too. Complete or undo that migration by hand, correct its newest row in the ledger, then "retryStep".',
  failedLedgerRow:
    'the product\'s own migrator stands still on such a row too. Bring the schema to one side of that migration, record that side in the ledger, then "retryStep".',
  unexpectedAppliedSet:
    'the plan would undo what is not there, or leave what it must undo. Put the ledger right and send "retryStep"; if it is right, abort and start again: the new run plans from it. Where it is this very step that is there already: "skipStep".',
  unknownAppliedId:
    'no plan knows what that migration did. Build a catalog that includes the release which carries it, and start again.',
  earlierAttemptAlive:
    'two attempts at once are what no decision makes safe. Send "retryStep": the next claim ends it.',
  lockHeld: 'another migrator may be at work. Stop it (the product\'s own: scale it to zero), then "retryStep".',
  indexBuildRunning: 'a step could wait for it, or spoil it. Let it end or cancel it, then "retryStep".',
  wrongServer:
    'the run would go on in another database. Let the connection lead to the one of before, then "retryStep"; or abort and start again here.',
  standby: 'a standby cannot be changed. Point the connection reference at the primary, then "retryStep".',
};

export interface Skipped {
  readonly key: string;
  readonly entry: Parked;
  readonly database: DatabaseName;
  readonly seq: number;
  readonly ledger: LedgerTreatment;
}

const SKIPPABLE: ReadonlySet<string> = new Set([
  FailureType.StepFailed,
  FailureType.StepUndecided,
  FailureType.DirtyDatabase,
]);

/** What a step's effect that is there already shows as. */
const ITS_EFFECT: ReadonlySet<DirtyCode> = new Set(['unexpectedAppliedSet', 'changedByOthers']);

export function refuseSkipStep(progress: Progress, input: unknown): Skipped {
  refuseWhenOver(progress);
  const can = [...progress.parked].filter(([, entry]) => isSkippable(entry));
  const several = progress.parked.size > 1;
  const examples = can.map(([database]) => JSON.stringify(skipInput(progress, database)));
  if (can.length === 0) {
    refuse(
      `No database is parked at a schema step that could be taken over: the run is in the state "${stateOf(progress)}". Nothing was done.` +
        otherwise(progress),
    );
  }
  const example = `${examples.join(' or ')} ("record": write the product's ledger row as if the step had succeeded; "keep": it says so already)`;
  const given = parse(skipSchema, input ?? {}, UpdateName.skipStep, example, '"database" and "by"');
  if (given.database === undefined && several) {
    refuse(`Several databases are parked. Say which one's step is taken over: ${examples.join(' or ')}.`);
  }
  const found = given.database === undefined ? can[0] : can.find(([key]) => key === given.database);
  if (!found) {
    refuse(
      `"${given.database}" is not parked at a schema step that could be taken over. Those that are: ${examples.join(' or ')}.`,
    );
  }
  const [key, entry] = found;
  refuseWhileOverruling(progress, key);
  return { key, entry, database: entry.database ?? '', seq: entry.seq ?? 0, ledger: given.ledger };
}

/** Ready to send, but for the reason. */
export function skipInput({ parked }: Progress, database: DatabaseName): Record<string, string> {
  return {
    ledger: 'record',
    ...(parked.size > 1 ? { database } : {}),
    why: '<why its effect is there, or who sees to it>',
  };
}

/** Its script stopped, nobody knows whether it did, or what is found may be its own effect. */
export function isSkippable({ database, during, seq, failure, reasons }: Parked): boolean {
  if (database === null || seq === null || (during !== 'step' && during !== 'check')) return false;
  return (
    SKIPPABLE.has(failure) &&
    (failure !== FailureType.DirtyDatabase || reasons.some(({ code }) => ITS_EFFECT.has(code)))
  );
}

function otherwise({ parked }: Progress): string {
  const places = [...parked.values()].map(
    ({ database, during, failure }) => `${database ?? 'the instance'} (${during}: ${failure})`,
  );
  return places.length === 0 ? '' : ` Parked: ${places.join(', ')}; the status says what goes on there.`;
}
