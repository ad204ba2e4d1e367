import type { ActivityHandler, DatabaseName, DataMigrationId } from './catalog.js';
import type { PlanId } from './plan.js';
import type { RunOptionsGiven } from './run-options.js';

/** What crosses between a workflow and the activities that move data. */

export interface RunDataMigrationInput {
  readonly instance: string;
  readonly run: string;
  readonly plan: PlanId;
  readonly leg: number;
  readonly database: DatabaseName;
  readonly id: DataMigrationId;
  readonly token: string;
  /** In place of the instance's, for this run. */
  readonly options?: RunOptionsGiven['data'];
}

export interface DataOutcome {
  /** `left`: nothing was to be done, and the journal says so. */
  readonly how: 'ran' | 'resumed' | 'foundDone' | 'left';
  readonly batches: number;
  readonly rows: number;
  /** As computed from the data at the end; null where nobody asked. */
  readonly progress: number | null;
  /** From the first attempt's begin to the end, by the database's clock. Milliseconds. */
  readonly tookMs: number;
  readonly attempt: number;
}

/** What the activity tells while it runs. The cursor is a key of a row: it stays in the journal. */
export interface DataBeat {
  readonly doing: string;
  readonly batches: number;
  readonly rows: number;
  /** Size of the batch under way. */
  readonly batchRows: number;
  readonly rowsPerSecond: number | null;
  /** 0 to 1; null: not asked yet. */
  readonly progress: number | null;
  readonly secondsLeft: number | null;
}

/** Where a connection string is to be found, as far as that may be told: of a command only that there is one. */
export type ConnectionHint =
  | { readonly kind: 'env'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'command' | 'url' };

/** Where a data migration stands in the journal. The cursor is a key of the product's, and travels with each call. */
export interface DataPlace {
  readonly cursor: string | null;
  readonly batches: number;
  readonly rows: number;
}

export interface DataCallsBegun {
  readonly how: 'begun';
  readonly handler: ActivityHandler;
  readonly direction: 'forward' | 'reverse';
  readonly connection: ConnectionHint;
  readonly batchSize: number;
  /** Calls in a row that move nothing, before the run parks. */
  readonly stallCalls: number;
  readonly position: DataPlace;
  /** As the journal last heard; null: never. */
  readonly progress: number | null;
}

export interface NoteDataCallInput extends RunDataMigrationInput {
  /** In the journal, before the call: a repeat of this activity is known by it. */
  readonly batchesBefore: number;
  readonly cursor: string | null;
  readonly rowsDone: number;
  readonly progress: number | null;
}

export interface NoteDataFailureInput extends RunDataMigrationInput {
  readonly batchSize: number;
  /** In our words, with theirs in them; they are in Temporal's history already. */
  readonly message: string;
}

export interface EndDataCallsInput extends RunDataMigrationInput {
  readonly progress: 0 | 1;
}
