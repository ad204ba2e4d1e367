import type { FailureType } from '../../contract/errors.js';
import type { CliFailure } from '../failure.js';

/** What a code means, whoever meets it, and what to do. `pg-unwind explain` and docs/errors.md say the same. */
export interface Explanation {
  readonly means: string;
  readonly remedy: string;
}

/** A code without its words does not compile. */
export const FAILURES: Readonly<Record<FailureType, Explanation>> = {
  InvalidInput: {
    means: 'The input of a workflow, an update or a command is not what its schema says. Nothing was done.',
    remedy:
      'The message names each field. Start again with one JSON object such as {"instance":"acme-eu","to":"v5.8.1579"}.',
  },
  InvalidConfig: {
    means: 'pg-unwind.yaml, or something that it points to, cannot be used. Nothing was done.',
    remedy:
      'The message lists every problem with its line. docs/configuration.md has all keys. Restart the workers after a change.',
  },
  InvalidCatalog: {
    means: 'The source of a catalog breaks the rules of its format, or a compiled catalog cannot be read.',
    remedy:
      'All problems are reported at once, each with file, id and rule: correct the source and build again. A broken compiled catalog is built anew.',
  },
  UnknownInstance: {
    means: 'The configuration that was read has no such instance, or the instance no such database. Nothing was done.',
    remedy: 'Compare the name with pg-unwind.yaml of the workers: theirs is the one that counts for runs.',
  },
  UnknownProduct: {
    means: 'An instance names a product that the configuration does not have. Nothing was done.',
    remedy: 'Add the product to pg-unwind.yaml, or correct its name.',
  },
  UnknownRelease: {
    means: 'The catalog knows no release of that label. Nothing was done.',
    remedy: '"pg-unwind catalog show <catalog>" lists the labels. For a newer one, build the catalog again.',
  },
  UnknownMigration: {
    means: 'The ledger says that a migration is applied which no release of the catalog knows.',
    remedy: 'Build a catalog that includes the release which carries it, and start again.',
  },
  UnknownDataMigration: {
    means: 'The catalog knows no data migration of that id. Nothing was done.',
    remedy: '"pg-unwind data list <instance>" lists them. For a newer one, build the catalog again.',
  },
  TargetNotReachable: {
    means:
      'There is no way in this direction from what is applied to the target: it is not below (or above) it, or a data migration has no release on the way on whose schema it fits.',
    remedy:
      'The message names the obstacle. Choose another target, go the other direction, or bring the instance to a release first.',
  },
  NoLedger: {
    means: 'The database has no ledger of this product: it is empty, or another one.',
    remedy:
      'Check connection reference, schema and ledgerKey of that database. An empty database can be filled with "pg-unwind upgrade".',
  },
  ScriptRefused: {
    means: 'The plan needs a script that ends its transaction in a way that cannot be recorded. Nothing was done.',
    remedy:
      'The message says which statement. Change it in the source (docs/catalog.md) and build the catalog again, or choose a target that does not need it.',
  },
  DirtyDatabase: {
    means: 'A database is not in the state that the journal says it must be. Nothing was started on it.',
    remedy:
      'Each reason has a code, what was found and what to do; "pg-unwind explain <code>" and docs/dirty.md tell more. Then send "retryStep".',
  },
  StaleAttempt: {
    means:
      'A newer claim on the database exists: this attempt, or this run, has been overtaken and may do nothing more.',
    remedy:
      'Nothing, where the run goes on by itself. If it parks with this, another run works on the same database: let that one end, then "retryStep".',
  },
  InstanceBusy: {
    means:
      "Another session holds the migration lock: the product's own migrator, or an earlier attempt that is being ended.",
    remedy: 'Nothing: it is tried again. If it lasts, the message names the session; stop the product’s services.',
  },
  ClaimedByAnother: {
    means: 'Another workflow has this database claimed, and its run is still open.',
    remedy: 'End that run, or let it go on. If its Temporal is gone for good, start with "takeOver": true.',
  },
  ActiveWriters: {
    means:
      'Sessions of others were connected when a leg was to begin, and "options.writers" refuses that. The leg is not begun.',
    remedy:
      'Stop these services, or name what may stay in exemptRoles or exemptApplicationNames and restart the workers; then "retryStep".',
  },
  StepInterrupted: {
    means:
      'A script failed in a way that a repeat can cure (a lock, a deadlock, resources, a lost connection), and was rolled back.',
    remedy: 'Nothing: it is tried again. Who holds the lock is in the heartbeat of the pending activity.',
  },
  StepFailed: {
    means: 'A script failed, and would fail again. It was rolled back to the last part that is durable.',
    remedy:
      'The SQLSTATE is in the message, the server’s own words in pgunwind.failure of that database. Remove the cause, then "retryStep": the whole script, or its next part, runs again.',
  },
  StepUndecided: {
    means:
      'A script that commits where nobody can look, or whose parts share a session, died in the middle: only a person can say what it did.',
    remedy:
      'Compare the database with the script. Complete it by hand, then "skipStep"; or undo it, put the ledger right, abort and start again (docs/operations.md, "A step that only a person can decide").',
  },
  DatabaseUnreachable: {
    means: 'The database cannot be reached, or a connection to it was lost.',
    remedy:
      'Nothing: it is tried again, and the run goes on when the database is back. If it should be there: check the connection reference from where the worker runs.',
  },
  InsufficientPrivileges: {
    means: 'The role lacks a privilege that the plan needs. Nothing was changed.',
    remedy: 'The message names each object and the GRANT. For extensions configure privilegedUrl. Then "retryStep".',
  },
  TransactionPooler: {
    means: 'A pooler in transaction mode stands between worker and server: session locks would mean nothing there.',
    remedy:
      'Let the connection reference lead to the server itself, or to a pool in session mode; restart nothing, "retryStep".',
  },
  JournalIncomplete: {
    means:
      'The journal lacks the plan, the run or the script that this step needs: it was edited, dropped, or belongs to another run.',
    remedy:
      'Abort this run and start again: the new one plans from journal and ledger (docs/dirty.md, "The journal is gone or was changed").',
  },
  JournalNewer: {
    means: 'The journal was written by a newer pg-unwind than this worker.',
    remedy: 'It is tried again for a minute, in case a newer worker takes it. Update the workers, then "retryStep".',
  },
  JournalBehind: {
    means: 'The journal lacks steps that the run has seen done: a failover lost commits.',
    remedy:
      'Inside the open leg the run goes back by itself. Behind a closed boundary: abort, and start again from where each database really stands.',
  },
  DataFailed: {
    means:
      'A batch of a data migration failed and would fail again, or its handler broke the contract. All batches before it are durable.',
    remedy:
      'The newest row of pgunwind.data_failure has the server’s words. Correct the row, the query or the handler, then "retryStep": it goes on there (docs/data-migrations.md).',
  },
  DataNotRunnable: {
    means:
      'A data migration cannot be run by itself now: the release that stands is outside its window, it has no way in that direction, or the instance is not in a state for it. Nothing was done.',
    remedy:
      'The message says which. "pg-unwind data list <instance>" shows the windows; take the instance to a release inside.',
  },
  DataStalled: {
    means:
      'A data migration says that it works, and its data does not move; or nothing is left to do, and it is not at its end.',
    remedy:
      'Look for rows that progress counts and the batch does not take, and for services that make new ones. Then "retryStep".',
  },
  LossesGrown: {
    means: 'What the plan destroys holds clearly more than when consent to it was asked for. Nothing was approved.',
    remedy:
      'Look at the new figures (query "status", "pg-unwind plan"), stop what still writes, and send "approve" again.',
  },
  HandlerUnavailable: {
    means: 'Nobody polls the task queue of an activity of the product’s own. Nothing of it was begun.',
    remedy: 'Start its worker on that queue, then "retryStep".',
  },
  HookFailed: {
    means: 'A hook (a webhook, a command, an activity) said no, or could not be reached after several tries.',
    remedy:
      'The message has its answer. Remove the cause and send "retryStep": it is called again with the same idempotency key. At a stop "continue" says that a person did it.',
  },
  HookUnanswered: {
    means:
      'A hook could not be reached, or asked to be called again later. It is tried again with the same idempotency key.',
    remedy: 'Nothing, unless it parks: then look at the receiver, and send "retryStep" (docs/in-turns.md).',
  },
  SettledByHand: {
    means: 'Somebody completed or failed one of our activities by hand ("temporal activity complete", "fail").',
    remedy:
      'What it has really done is in the journal. Send "retryStep": it ends what is left of the attempt, and looks there first.',
  },
  RunEnding: {
    means:
      'An operator ended the run ("abort", "turnBack") while a step was held up; each of its attempts had been rolled back whole.',
    remedy: 'Nothing: the step is not tried again, and the run ends.',
  },
  Unexpected: {
    means: 'An error that has no name here: of pg-unwind itself, or of something beneath it.',
    remedy:
      'The log of the worker has it with its stack. The databases are safe: the journal says what was done. Report it; "retryStep", or abort and start again.',
  },
};

/** Codes that only the shell command knows. */
export const CLI_FAILURES: Readonly<Record<Exclude<CliFailure, 'Unexpected'>, Explanation>> = {
  Usage: {
    means: 'The words typed are not a command line.',
    remedy: 'The message names what is wrong; "--help" after any command shows its options and an example.',
  },
  AlreadyRunning: {
    means: 'A run of this instance is open: its workflow id is the lock. Nothing was started.',
    remedy:
      'The command has shown it; "pg-unwind status <instance>" shows it again. Let it end, or abort it. Started once more to the same ' +
      'release with --wait, the command stays with the open run.',
  },
  NoRun: {
    means: 'Temporal knows no run of this instance.',
    remedy: 'Check the name, the namespace and the address. Runs that Temporal has forgotten are in the journal.',
  },
  NoWorker: {
    means: 'Nothing polls the task queue, so nobody can answer or go on.',
    remedy: 'Start "pg-unwind worker" with the same task queue. The run has lost nothing meanwhile.',
  },
  UpdateRefused: {
    means: 'The run refused the update: it does not fit its state. Nothing was changed.',
    remedy: 'The message says what it waits for instead; "pg-unwind status <instance>" shows the commands that fit.',
  },
  RunStopped: {
    means: 'The run ended by a cancel, a terminate or a timeout of the workflow.',
    remedy: 'Start it again: it goes on where the journal says.',
  },
};
