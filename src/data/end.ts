import pg from 'pg';
import type { DataOutcome } from '../contract/data-activities.js';
import { columnOf, sendMessage } from '../postgres/message.js';
import type { Session } from '../postgres/session.js';
import type { DataOrder } from './order.js';

/** @param progress as the data says it; null: nobody asked. */
export async function endData(
  session: Session,
  order: Omit<DataOrder, 'queries'>,
  progress: number | null,
): Promise<Omit<DataOutcome, 'how'>> {
  const place = `${pg.escapeLiteral(order.run)}, ${order.leg}, ${pg.escapeLiteral(order.id)}, ${pg.escapeLiteral(order.token)}`;
  const message = await sendMessage(
    session.client,
    `begin isolation level read committed; select pgunwind.end_data(${place}, ${progress}) as pgu_end; commit;`,
  );
  return columnOf<Omit<DataOutcome, 'how'>>(message, 'pgu_end') as Omit<DataOutcome, 'how'>;
}
