/**
 * Every change to the order or kind of commands of a workflow that may be running somewhere gets an id here, is asked for with
 * `patched(id)`, and comes with a saved history of the older behaviour in test/replay/histories.
 */
export interface Patch {
  readonly id: string;
  readonly changed: string;
  /** The release of pg-unwind that brought it. */
  readonly since: string;
  /** What must be true before the older branch may be removed. */
  readonly mayGo: string;
}

/** None yet: 0.1.0 is the first release. */
export const PATCHES: readonly Patch[] = [];
