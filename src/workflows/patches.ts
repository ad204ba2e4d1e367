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

/**
 * None yet: 0.1.0 is the first release. A command that only a field of an activity's answer calls for (`memo` of the plan) cost no id
 * before it, since the histories saved until then have not got the field; behind a release it would, for workers of two versions may
 * share one run.
 */
export const PATCHES: readonly Patch[] = [];
