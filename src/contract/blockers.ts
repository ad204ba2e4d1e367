/**
 * What may be done about sessions that hold a lock which a step needs: nothing but wait; end those that sit idle in a
 * transaction; end any that may be ended.
 */
export const BLOCKER_POLICIES = ['wait', 'terminateIdle', 'terminate'] as const;
export type BlockerPolicy = (typeof BLOCKER_POLICIES)[number];

/** A session that was ended because a step needed its lock, as history may hold it. */
export interface EndedSession {
  readonly pid: number;
  readonly application: string | null;
  readonly user: string | null;
}
