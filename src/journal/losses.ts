import type pg from 'pg';
import type { Loss, RestorePoint } from '../contract/losses.js';

const STORE = `-- pg-unwind losses.store
insert into pgunwind.loss_report (run, taken_at, losses) values ($1, $2, $3) on conflict do nothing`;

/** @param losses those of this database. */
export async function storeLosses(
  client: pg.ClientBase,
  run: string,
  takenAt: string,
  losses: readonly Loss[],
): Promise<void> {
  await client.query(STORE, [run, takenAt, JSON.stringify(losses)]);
}

const SHOWN = `-- pg-unwind losses.shown
select l.losses from pgunwind.loss_report l where l.run = $1 and l.taken_at = $2`;

/** What was shown when consent was asked for; null: this journal has no such count. */
export async function shownLosses(
  client: pg.ClientBase,
  run: string,
  takenAt: string,
): Promise<readonly Loss[] | null> {
  return (await client.query<{ losses: readonly Loss[] }>(SHOWN, [run, takenAt])).rows[0]?.losses ?? null;
}

const NOTE = `-- pg-unwind losses.note-restore-point
select pgunwind.note_restore_point($1, $2) as point`;

/** Once for each run; later calls answer what the first has noted. */
export async function noteRestorePoint(client: pg.ClientBase, run: string, leg: number): Promise<RestorePoint> {
  const { rows } = await client.query<{ point: RestorePoint }>(NOTE, [run, leg]);
  return (rows[0] as { point: RestorePoint }).point;
}
