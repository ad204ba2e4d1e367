import type { DatabaseName } from './catalog.js';

/**
 * What a run does about sessions of others that it finds at the beginning of a leg: a running newer application can make new data
 * behind the back of a reverse migration.
 * - `warn`: say who, and go on.
 * - `refuse`: park until an operator has looked.
 * - `wait`: begin the leg when they are gone.
 */
export const WRITERS_POLICIES = ['warn', 'refuse', 'wait'] as const;
export type WritersPolicy = (typeof WRITERS_POLICIES)[number];

/** Sessions of one role and name in one database. What they do our role may not be able to see: they could write. */
export interface Writer {
  readonly database: DatabaseName;
  readonly role: string;
  /** `application_name`; empty where the session gave none. */
  readonly application: string;
  readonly sessions: number;
}

/** `"shop-app" (role shop, 2 sessions) on frontend`. */
export function describeWriter({ database, role, application, sessions }: Writer): string {
  const name = application === '' ? 'a program without a name' : `"${application}"`;
  return `${name} (role ${role}, ${sessions === 1 ? 'one session' : `${sessions} sessions`}) on ${database}`;
}

const SHOWN = 10;

export function describeWriters(writers: readonly Writer[]): string {
  const shown = writers.slice(0, SHOWN).map(describeWriter).join('; ');
  return writers.length > SHOWN ? `${shown}; and ${writers.length - SHOWN} more` : shown;
}
