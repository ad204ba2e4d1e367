import { diffFingerprints, describeDifference } from '../postgres/fingerprint-difference.js';
import { compactFingerprint, readFingerprint, type Fingerprint } from '../postgres/fingerprint.js';
import type { Session } from '../postgres/session.js';
import type { InstanceDatabase } from './database.js';
import { namingBlockers } from './lock-waits.js';

const KNOWN = `-- pg-unwind release-fingerprint.known
select f.run, f.objects
  from pgunwind.fingerprint f
 where f.set_hash = $1
 order by f.taken_at
 limit 1`;

const REMEMBER = `-- pg-unwind release-fingerprint.remember
insert into pgunwind.fingerprint (set_hash, run, release, objects)
values ($1, $2, $3, $4)
on conflict do nothing`;

const IGNORED = ['migration_logs'];

/** What the schema looks like at this applied set, unless the journal knows it already. */
export async function rememberFingerprint(
  database: InstanceDatabase,
  session: Session,
  run: string,
  release: string,
  setHash: string,
): Promise<void> {
  const { client } = session;
  if ((await client.query(KNOWN, [setHash])).rows.length > 0) return;
  const fingerprint = await describe(database, session);
  await client.query(REMEMBER, [setHash, run, release, JSON.stringify(fingerprint)]);
}

/**
 * Compares the schema with what this very database showed at the same applied set before; differences as sentences. Without an
 * earlier one it is remembered for the next time, and there is nothing to compare.
 */
export async function compareWithKnown(
  database: InstanceDatabase,
  session: Session,
  run: string,
  release: string,
  setHash: string,
): Promise<readonly string[]> {
  const { client } = session;
  const found = await describe(database, session);
  const { rows } = await client.query<{ run: string; objects: Fingerprint }>(KNOWN, [setHash]);
  const known = rows[0];
  if (known === undefined || known.objects.serverMajor !== found.serverMajor) {
    await client.query(REMEMBER, [setHash, run, release, JSON.stringify(found)]);
    return [];
  }
  return diffFingerprints(known.objects, found).map(describeDifference);
}

/** It may take minutes where there are many objects; a second session finds out when no answer will ever come. */
async function describe(database: InstanceDatabase, session: Session): Promise<Fingerprint> {
  const doing = { doing: 'Describing the schema', tell: () => undefined };
  return compactFingerprint(
    await namingBlockers(database, session, doing, () => readFingerprint(session.client, { ignore: IGNORED })),
  );
}
