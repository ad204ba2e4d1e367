import { setTimeout as pause } from 'node:timers/promises';
import type { DataBeat } from '../../src/contract/data-activities.js';
import type { DataContext, DataLimits, DataOrder, DataQueries } from '../../src/data/order.js';
import { runData } from '../../src/data/run-data.js';
import { stage, type Stage } from './stage.js';

/** Letters whose text is in the newer form, upper case; each batch leaves a row for each letter that it has touched. */
export const LETTERS = (count: number) => `
  create table letters (id bigint primary key, text text not null);
  insert into letters select n, 'LETTER ' || n from generate_series(1, ${count}) n;
  create table witness (at bigint generated always as identity, what text not null);`;

/** Keyset: every letter is looked at once. */
export const KEYSET: DataQueries = {
  progress: `select coalesce(avg((text = upper(text))::integer), 0) from letters`,
  batch: `with batch as (
    select id from letters where id > coalesce($2::bigint, 0) order by id limit $1
  ), moved as (
    update letters l set text = lower(l.text) from batch b where l.id = b.id and l.text = upper(l.text) returning l.id
  ), seen as (
    insert into witness (what) select id from moved returning 1
  )
  select (select count(*) from seen) as rows, (select max(id) from batch) as cursor`,
  verify: `select not exists (select from letters where text <> lower(text))`,
};

export interface DataStage extends Stage {
  dataOrder(options?: Partial<DataOrder>): DataOrder;
  run1(
    options?: Partial<DataContext> & { order?: Partial<DataOrder>; limits?: Partial<DataLimits> },
  ): ReturnType<typeof runData>;
  readonly beats: DataBeat[];
}

/** A database with letters, a journal, a plan of one data migration without any script, and a claim. */
export async function stageData(
  queries: Partial<DataQueries> = {},
  {
    setup = LETTERS(1_000),
    act = 'reverse' as const,
    ...options
  }: { setup?: string; act?: DataOrder['act'] } & Omit<NonNullable<Parameters<typeof stage>[1]>, 'setup'> = {},
): Promise<DataStage> {
  const staged = await stage([], { setup, ...options });
  await planData(staged, act, 'a hash');
  const beats: DataBeat[] = [];
  const self: DataStage = Object.assign(staged, {
    beats,
    dataOrder: (order: Partial<DataOrder> = {}): DataOrder => ({
      run: staged.run,
      leg: 0,
      database: 'frontend',
      id: '7',
      act,
      queries: { ...KEYSET, ...queries },
      token: staged.token,
      attempt: 1,
      ...order,
    }),
    run1: ({ order, ...context }: Parameters<DataStage['run1']>[0] = {}) =>
      runData(staged.instance, self.dataOrder(order), {
        tell: (beat) => void beats.push(beat),
        pause: (ms) => pause(ms),
        signal: new AbortController().signal,
        ...context,
      }),
  });
  return self;
}

/** The data migration of a staged plan; `batch` names the text of its query. */
export async function planData(staged: Stage, act: DataOrder['act'], batch: string): Promise<void> {
  await staged.instance.sessions.withSession(({ client }) =>
    client.query(
      `insert into pgunwind.plan_data (plan, leg, id, act, batch) select plan, 0, '7', $2, $3 from pgunwind.run where run = $1`,
      [staged.run, act, batch],
    ),
  );
}

/** How often each letter was moved: each once, or there is something wrong. */
export async function movedMoreThanOnce(staged: Stage): Promise<unknown[]> {
  return staged.database.query(`select what, count(*)::int from witness group by what having count(*) <> 1`);
}
