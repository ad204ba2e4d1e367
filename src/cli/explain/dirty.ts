import type { DirtyCode } from '../../contract/dirty.js';
import type { Explanation } from './failures.js';

/** The reasons of a dirty check; docs/dirty.md has a chapter for each, with the queries to look closer. */
export const DIRTY: Readonly<Record<DirtyCode, Explanation>> = {
  unfinishedStep: {
    means:
      'The journal holds a step that began and did not end, and it is not the one that comes next: an earlier run stopped inside it.',
    remedy: 'Abort this run and start one to the target of that earlier one: it takes the step up where it stopped.',
  },
  unfinishedLedgerRow: {
    means:
      "The product's ledger says that a migration began and did not end, and the journal knows nothing of it: the product's own migrator was stopped inside it.",
    remedy:
      'Look at what that migration changes, complete or undo it by hand, correct its newest row in the ledger, then "retryStep".',
  },
  failedLedgerRow: {
    means: "The product's ledger says that a migration failed.",
    remedy:
      'Read the error in that row, bring the schema to the state before or after the migration, record that state in the ledger, then "retryStep".',
  },
  unexpectedAppliedSet: {
    means:
      'The ids that the ledger calls applied are not those of this point of the plan: somebody migrated the database or edited its ledger.',
    remedy:
      'Stop whoever did. Where only the ledger is wrong, correct its row, then "retryStep". Where the schema was changed too, abort and start again: the new run plans from the ledger.',
  },
  unknownAppliedId: {
    means: 'The ledger calls an id applied that no release of the catalog knows.',
    remedy: 'Build a catalog that includes the release which carries it, and start again.',
  },
  changedByOthers: {
    means:
      'The system catalogs differ by more than our own transactions did: someone changed the schema since the last check.',
    remedy:
      'Find out who and stop it. What was only added: drop it again, then "retryStep". Otherwise abort, put back what the next steps rely on, and start again. What may stay: "acceptDirty".',
  },
  invalidIndex: {
    means: 'An index became invalid that was not before: a concurrent build failed.',
    remedy: 'Drop it with "drop index concurrently", then "retryStep". One that may stay: "acceptDirty".',
  },
  earlierAttemptAlive: {
    means: 'A session of an earlier attempt still works on the server.',
    remedy: 'Send "retryStep": the next claim ends it.',
  },
  lockHeld: {
    means: "Another session holds the migration lock: usually the product's own migrator, at work or waiting.",
    remedy: 'Stop it (scale it to zero), then "retryStep".',
  },
  indexBuildRunning: {
    means: 'Somebody builds an index.',
    remedy: 'Let it end or cancel it, then "retryStep".',
  },
  wrongServer: {
    means:
      'The connection leads to another cluster or database than before, or to an older timeline: an old primary, a restored copy.',
    remedy:
      'Let the reference lead to the server of before, then "retryStep". To go on with the copy, abort and start again.',
  },
  standby: {
    means: 'The server is in recovery: a standby, which can be read but not changed.',
    remedy: 'Point the connection reference at the primary, then "retryStep".',
  },
  dataNotAtEnd: {
    means:
      'At this release a data migration must be at one of its ends, and is not: somebody has made rows of the other form meanwhile.',
    remedy:
      'Stop the application of another release. Then abort and start again (the new plan carries it to its end first; at the target itself: "pg-unwind data run"), or put the rows right by hand and "retryStep". What this release can live with: "acceptDirty".',
  },
};
