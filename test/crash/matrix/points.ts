import pg from 'pg';
import type { Hold, Proxy } from '../../support/wire-proxy.js';
import type { WireMessage } from '../../support/wire-message.js';
import { queryAt } from './bench.js';
import { DATA_STEP, SEGMENTS } from './product.js';

/** A column of the matrix: a place in the downgrade where a cell stands when the fault comes. */
export interface Column {
  readonly name: string;
  /** The migration under way. */
  readonly step: number;
  /** An attempt that dies here leaves what only a person can judge: the run asks instead of going on. */
  readonly asks: boolean;
  readonly at:
    /** The message that carries the step is on its way to the server, or its answer on its way back. */
    | { readonly kind: 'message'; readonly side: 'client' | 'server'; readonly when: (message: WireMessage) => boolean }
    /** The script waits in the server, in that part. */
    | { readonly kind: 'gate'; readonly part: number }
    /** The statement waits in the server for an older transaction. */
    | { readonly kind: 'blocked'; readonly table: string }
    /** The script takes its time. */
    | { readonly kind: 'asleep'; readonly seconds: number };
}

export const begins = (step: number) => (text: string) =>
  text.includes('begin_step') && text.includes(`"migration":"${step}"`);
const sent = (step: number) => ({
  kind: 'message' as const,
  side: 'client' as const,
  when: ({ side, text }: WireMessage) => side === 'client' && begins(step)(text),
});
const committed = (step: number) => ({
  kind: 'message' as const,
  side: 'server' as const,
  when: ({ side, text, query }: WireMessage) => side === 'server' && text === 'COMMIT' && begins(step)(query),
});
/** The answer of the first statement behind the last segment's commit. */
const unlocking = (step: number) => {
  let commits = 0;
  return {
    kind: 'message' as const,
    side: 'server' as const,
    when: ({ side, type, text, query }: WireMessage) => {
      if (side !== 'server' || !begins(step)(query)) return false;
      if (type === 'Z') commits = 0;
      if (type !== 'C') return false;
      if (text === 'COMMIT') commits += 1;
      return commits === SEGMENTS && text !== 'COMMIT';
    },
  };
};
/** The second time that a message of a batch passes: one batch is durable then, and others are to come. */
const secondBatch = (side: 'client' | 'server', is: (message: WireMessage) => boolean) => {
  let seen = 0;
  return {
    kind: 'message' as const,
    side,
    when: (message: WireMessage) => message.side === side && is(message) && ++seen === 2,
  };
};
const closesLeg = (text: string) => text.includes('select pgunwind.close_leg(');

/** Made anew for each row: some of them remember what they have seen pass. */
export function columns(): readonly Column[] {
  return [
    { name: 'atomic: before its message arrives', step: 10, asks: false, at: sent(10) },
    { name: 'atomic: inside the script', step: 10, asks: false, at: { kind: 'gate', part: 1 } },
    { name: 'atomic: committed, answer lost', step: 10, asks: false, at: committed(10) },
    { name: 'segmented: first boundary', step: 9, asks: false, at: { kind: 'gate', part: 2 } },
    { name: 'segmented: a middle boundary', step: 9, asks: false, at: { kind: 'gate', part: 3 } },
    { name: 'segmented: last boundary', step: 9, asks: false, at: { kind: 'gate', part: SEGMENTS } },
    { name: 'segmented: during the unlock', step: 9, asks: false, at: unlocking(9) },
    { name: 'create index concurrently', step: 8, asks: false, at: { kind: 'blocked', table: 'letters' } },
    { name: 'drop index concurrently', step: 7, asks: false, at: { kind: 'blocked', table: 'parcels' } },
    { name: 'opaque: between its commits', step: 6, asks: true, at: { kind: 'gate', part: 2 } },
    { name: 'empty', step: 5, asks: false, at: committed(5) },
    { name: 'long (10 s)', step: 4, asks: false, at: { kind: 'asleep', seconds: 10 } },
    { name: 'last step of a leg', step: 3, asks: false, at: committed(3) },
    {
      name: 'data: before a batch',
      step: DATA_STEP,
      asks: false,
      at: secondBatch('client', ({ text }) => text.includes('pgunwind.begin_batch(')),
    },
    { name: 'data: inside a batch', step: DATA_STEP, asks: false, at: { kind: 'gate', part: 2 } },
    {
      name: "data: before a batch's commit",
      step: DATA_STEP,
      asks: false,
      at: secondBatch('client', ({ text }) => text.includes('pgunwind.end_batch(')),
    },
    {
      name: 'data: batch committed, answer lost',
      step: DATA_STEP,
      asks: false,
      at: secondBatch('server', ({ text, query }) => text === 'COMMIT' && query.includes('pgunwind.end_batch(')),
    },
    {
      name: 'release marker: before',
      step: 3,
      asks: false,
      at: { kind: 'message', side: 'client', when: ({ side, text }) => side === 'client' && closesLeg(text) },
    },
    {
      name: 'release marker: committed, answer lost',
      step: 3,
      asks: false,
      at: {
        kind: 'message',
        side: 'server',
        when: ({ side, type, query }) => side === 'server' && type === 'Z' && closesLeg(query),
      },
    },
  ];
}

/** Where another attempt at the column's step, or the same attempt of another worker, arrives. */
export function arrivalAt({ name, step }: Column): (message: WireMessage) => boolean {
  if (name.startsWith('release marker')) return ({ side, text }) => side === 'client' && closesLeg(text);
  if (step === DATA_STEP) {
    return ({ side, text }) =>
      side === 'client' && text.includes('pgunwind.begin_data(') && text.includes(`"id":"${step}"`);
  }
  const arrives = begins(step);
  return ({ side, text }) => side === 'client' && arrives(text);
}

/** A column set up in one database. */
export interface Trap {
  isReached(): Promise<boolean>;
  /** Backend that stands there; null where a message is held. */
  waiter(): Promise<number | null>;
  /** What waits goes on, or, where `lose` is given and a message waits, never arrives. Safe to call twice. */
  open(how?: 'lose'): Promise<void>;
  /** The trap in the server is still shut: an attempt of now would wait there too. */
  readonly inServer: boolean;
}

export async function setTrap(column: Column, database: string, url: string, proxy: Proxy): Promise<Trap> {
  const { at, step } = column;
  switch (at.kind) {
    case 'message': {
      const hold: Hold = proxy.hold({ database, when: at.when });
      return {
        isReached: () => Promise.resolve(hold.isReached()),
        waiter: () => Promise.resolve(null),
        open: (how) => Promise.resolve(how === 'lose' ? hold.drop() : hold.release()),
        inServer: false,
      };
    }
    case 'gate':
      return holder(
        url,
        `select pg_advisory_lock(${7700 + step}, ${at.part})`,
        `select l.pid from pg_locks l join pg_database d on d.oid = l.database and d.datname = current_database()
          where l.locktype = 'advisory' and not l.granted and l.classid = ${7700 + step} and l.objid = ${at.part}`,
      );
    case 'blocked':
      // A writer that is older than the statement: both CONCURRENTLY forms wait for it, without a lock that others would queue for.
      return holder(
        url,
        `begin; insert into ${at.table} values (100000)`,
        `select a.pid from pg_stat_activity a
          where a.datname = current_database() and a.application_name like 'pgu:%' and a.state = 'active' and a.wait_event_type = 'Lock'`,
      );
    case 'asleep':
      await queryAt(url, `update pace set seconds = ${at.seconds}`);
      return {
        isReached: async () => (await asleep(url)) !== null,
        waiter: () => asleep(url),
        open: () => Promise.resolve(),
        inServer: false,
      };
    default:
      return at satisfies never;
  }
}

const ASLEEP = `select a.pid from pg_stat_activity a
  where a.datname = current_database() and a.application_name like 'pgu:%' and a.wait_event = 'PgSleep'`;

async function asleep(url: string): Promise<number | null> {
  return (await queryAt<{ pid: number }>(url, ASLEEP))[0]?.pid ?? null;
}

/** A session of the matrix that stands in the way until it is opened. */
async function holder(url: string, take: string, waiterOf: string): Promise<Trap> {
  const client = new pg.Client({ connectionString: url, application_name: 'crash matrix, in the way' });
  client.on('error', () => undefined); // a crash of the server opens it too
  await client.connect();
  await client.query(take);
  let opened = false;
  const waiter = async () => (await queryAt<{ pid: number }>(url, waiterOf))[0]?.pid ?? null;
  return {
    isReached: async () => (await waiter()) !== null,
    waiter,
    async open() {
      if (opened) return;
      opened = true;
      await client.query('rollback').catch(() => undefined);
      await client.end().catch(() => undefined);
    },
    inServer: true,
  };
}
