import type { DatabaseName } from './catalog.js';

/** Why a database is not in the state that the journal says it must be. Codes are stable; operators accept them by name. */
export type DirtyCode =
  | 'unfinishedStep' // the journal holds a step that began and is not this plan's next one
  | 'unfinishedLedgerRow' // the product's ledger says that a migration began and did not end
  | 'failedLedgerRow' // … or that it failed
  | 'unexpectedAppliedSet' // the ledger's applied ids are not those of this point of the plan
  | 'unknownAppliedId' // … or hold one that no release knows
  | 'changedByOthers' // the catalogs differ by more than our own transactions did
  | 'invalidIndex' // an index became invalid
  | 'earlierAttemptAlive' // a session of an earlier attempt still works on the server
  | 'lockHeld' // someone holds the product's migration lock
  | 'indexBuildRunning' // someone builds an index
  | 'wrongServer' // another cluster, database or an older timeline
  | 'standby' // the server is in recovery: reads work, steps cannot
  | 'dataNotAtEnd'; // at this release a data migration must be at one of its ends, and is not

/** What an operator may accept as it was found; the others would only stop the next step, or hide which database this is. */
export const ACCEPTABLE = ['changedByOthers', 'invalidIndex', 'dataNotAtEnd'] as const satisfies readonly DirtyCode[];
export type AcceptableCode = (typeof ACCEPTABLE)[number];

export function isAcceptable(code: DirtyCode): code is AcceptableCode {
  return (ACCEPTABLE as readonly DirtyCode[]).includes(code);
}

export interface DirtyReason {
  readonly code: DirtyCode;
  readonly database: DatabaseName;
  /** What was found, with names and numbers; never row data. */
  readonly evidence: string;
  /** What to do about it: commands where there are any. */
  readonly remedy: string;
  /** Of what can be accepted: tells this very finding from any other with its code. */
  readonly mark?: string;
}

export type DirtyWarningCode =
  | 'otherSessions'
  | 'longTransaction'
  | 'preparedTransaction'
  | 'refreshedView'
  | 'publicationForAllTables'
  | 'replicationLag';

export interface DirtyWarning {
  readonly code: DirtyWarningCode;
  readonly database: DatabaseName;
  readonly text: string;
}
