import type { BlockerPolicy } from '../contract/blockers.js';
import type { DatabaseName } from '../contract/catalog.js';
import type { ScriptFacts } from '../contract/script.js';
import type { Ledger, LedgerOptions } from '../journal/ledgers/ledger.js';
import type { MarkerOptions } from '../journal/ledgers/release-marker.js';
import type { SessionPool } from '../postgres/session-pool.js';

/** One database of one instance, as the step protocol needs it. */
export interface InstanceDatabase {
  readonly instance: string;
  readonly name: DatabaseName;
  readonly sessions: SessionPool;
  /** For steps marked privileged; null: they run as the ordinary role. */
  readonly privileged: SessionPool | null;
  /** A standby, for what only reads and takes long. */
  readonly standby?: SessionPool | null;
  readonly ledger: Ledger;
  readonly ledgerOptions: LedgerOptions;
  /** The product's row that says which release it is, when this database holds it. */
  readonly marker: MarkerOptions | null;
  readonly lockTimeoutMs: number;
  /** What may be done about sessions that hold a lock which a step needs, unless the run says otherwise. */
  readonly blockers: BlockerPolicy;
  /**
   * Brings the journal to this release's form, once in this process: a worker may take up a run that one of another release
   * began. It is made only for a plan: `make`, with `anew` where it is known not to be there.
   * @throws {UnwindError} what ensureJournal throws.
   */
  prepare(options?: { readonly make: boolean; readonly anew: boolean }): Promise<void>;
}

export interface Script {
  readonly sha256: string;
  readonly body: string;
  readonly facts: ScriptFacts;
}
