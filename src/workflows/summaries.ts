import type { Activities } from '../contract/activities.js';
import type { Progress } from './progress.js';

/** Those whose id and summary are made where they are called, because a person addresses them by the id. */
type Labelled = 'applyMigration' | 'runDataMigration' | 'callHook' | 'notify';
type Named = Exclude<keyof Activities, Labelled>;

export type Summaries = { readonly [Name in Named]: (input: Parameters<Activities[Name]>[0]) => string };

/**
 * What stands beside each activity in history, timeline and pending activities: names and counts, never a reason in an operator's
 * words. No summary is a command: they may change while runs live.
 */
export function createSummaries(progress: Progress): Summaries {
  const release = (leg: number) => progress.legs[leg]?.release ?? `leg ${leg + 1}`;
  const step = (database: string, seq: number, migration?: string) => {
    const current = progress.current.get(database);
    if (current?.seq !== seq) return `step ${seq}${migration === undefined ? '' : `, ${migration}`}`;
    return `${current.migration} ${current.name}`;
  };
  return {
    makePlan: ({ instance, direction, to }) => `plan the way of ${instance} ${direction} to ${to}`,
    makeDataPlan: ({ instance, id, direction }) => `plan data migration ${id} ${direction} of ${instance}`,
    readLeg: ({ leg }) => `read from the journals how far the leg to ${release(leg)} is`,
    awaitWriters: ({ release: next }) => `wait for sessions of others to end, before ${next}`,
    claim: ({ databases }) => `claim ${databases.join(', ')}`,
    yieldClaim: ({ databases, why }) => `give back the claim on ${databases.join(', ')}: ${why}`,
    checkDirty: ({ database, nextSeq }) =>
      progress.current.has(database)
        ? `check ${database} before ${step(database, nextSeq)}`
        : `check ${database} behind its last step`,
    beginDataCalls: ({ database, id }) => `begin data migration ${id} of ${database}`,
    noteDataCall: ({ database, id, batchesBefore }) =>
      `record call ${batchesBefore + 1} of data migration ${id} of ${database}`,
    noteDataFailure: ({ database, id }) => `record the failure of data migration ${id} of ${database}`,
    endDataCalls: ({ database, id }) => `end data migration ${id} of ${database}`,
    acceptDirty: ({ database, reason }) => `accept ${reason.code} on ${database}`,
    skipStep: ({ database, seq, migration, ledger }) =>
      `skip ${database} ${step(database, seq, migration)}, ledger: ${ledger}`,
    recordRelease: ({ leg }) => `record release ${release(leg)}`,
    verifyRelease: ({ leg }) => `verify release ${release(leg)}`,
    recordDecision: ({ kind }) => `record the decision ${kind}`,
    endRun: ({ state }) => `record the end: ${state}`,
    answerHook: ({ call, answer }) => `record the answer of hooks.${call.hook}: ${answer}`,
    askPollers: ({ taskQueue }) => `ask who polls the task queue ${taskQueue}`,
  };
}
