import type { DataOutcome } from '../contract/data-activities.js';
import type { InstanceDatabase } from '../step/database.js';
import { beginData, letGo } from './begin.js';
import { endData } from './end.js';
import type { DataContext, DataOrder } from './order.js';

/** A data migration that is not moved: the journal says so, under the same guards as if it were. */
export async function leaveData(
  database: InstanceDatabase,
  order: Omit<DataOrder, 'queries'>,
  context: DataContext,
): Promise<DataOutcome> {
  return database.sessions.withSession(async (session) => {
    const beginning = await beginData(database, order, session, context, () => undefined);
    if (beginning.kind === 'done') return { ...beginning.result, how: 'foundDone' };
    const outcome = await endData(session, order, null);
    await letGo(session);
    return { ...outcome, how: 'left' };
  });
}
