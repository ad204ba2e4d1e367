import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { createAcceptDirty } from '../../src/activities/overrule.js';
import { createMakePlan } from '../../src/activities/make-plan.js';
import { createRecordRelease } from '../../src/activities/record-release.js';
import { createVerifyRelease } from '../../src/activities/verify-release.js';
import type { DirtyReason } from '../../src/contract/dirty.js';
import { runData } from '../../src/data/run-data.js';
import { claimDatabase } from '../../src/step/claim.js';
import { entry, openDataShop, reversible, type DataShop } from '../support/data-shop.js';
import { expectNoLeaks } from '../support/postgres.js';

let shop: DataShop;
afterEach(async () => {
  await expectNoLeaks(shop.database);
  await shop.close();
});

const OWNER = { namespace: 'default', workflowId: 'unwind/acme', runId: 'r' };
const WAITS = { waiting: () => undefined, pause: (ms: number) => sleep(ms) };

/** Carries out the first leg of the way down: that of the start, which has no schema step. What is found at its end. */
async function firstLeg(before: () => Promise<unknown> = () => Promise.resolve()) {
  const { deps, instances } = shop;
  const run = randomUUID();
  const { plan: id } = await createMakePlan(deps)({
    instance: 'acme', direction: 'down', to: 'v1.0.0', from: null, owner: OWNER, run,
  }); // prettier-ignore
  const database = instances.open('acme').database('frontend');
  const plan = await deps.plans.plan(database, id);
  expect(plan.legs[0]).toMatchObject({ release: 'v4.0.0', steps: { frontend: [] } });
  const token = await claimDatabase(database, { run, owner: OWNER, takeOver: false }, WAITS);
  for (const { id: data, act } of plan.legs[0]?.data ?? []) {
    const { queries } = await deps.plans.data(database, id, 0, data);
    if (queries === null) throw new Error('a data migration without queries');
    const order = { run, leg: 0, database: 'frontend', id: data, act, queries, token, attempt: 1 };
    const { signal } = new AbortController();
    await runData(database, order, { tell: () => undefined, pause: (ms) => sleep(ms), signal });
  }
  await createRecordRelease(deps)({ instance: 'acme', run, plan: id, leg: 0, tokens: { frontend: token } });
  await before();
  const verify = createVerifyRelease(deps);
  const accept = createAcceptDirty(deps);
  standing = {
    reasons: async () => (await verify({ instance: 'acme', run, plan: id, leg: 0, fingerprint: false })).reasons,
    warnings: async () => (await verify({ instance: 'acme', run, plan: id, leg: 0, fingerprint: false })).warnings,
    accept: (reason, at) =>
      accept({
        instance: 'acme',
        run,
        plan: id,
        database: 'frontend',
        token,
        leg: 0,
        reason,
        by: 'ann',
        why: 'OPS-1',
        at,
      }),
  };
  return standing.reasons();
}

/** The boundary that `firstLeg` has reached, for what comes after. */
let standing: {
  reasons(): Promise<readonly DirtyReason[]>;
  warnings(): Promise<readonly string[] | undefined>;
  accept(reason: DirtyReason, at: string): Promise<void>;
};

const record = (rows: string) => `
  create table out_of_band_migrations (id integer primary key, progress double precision not null, last_updated timestamptz,
    apply_reverse boolean not null default false);
  insert into out_of_band_migrations (id, progress) values ${rows}`;
/** An instance that was born with this version. */
const born = (version: string) => `
  create table versions (service text primary key, version text not null, updated_at timestamptz not null default now(), first_version text);
  insert into versions values ('frontend', '4.0.0', now(), '${version}')`;

describe('at a release', () => {
  test('what the leg has moved is at its end, and the run goes on', async () => {
    shop = await openDataShop([reversible(7, 'v4.0.0')]);
    expect(await firstLeg()).toEqual([]);
  });

  test('what has no rows at all is at its end too', async () => {
    shop = await openDataShop([reversible(7, 'v4.0.0', 'select avg((text = upper(text))::integer) from letters')]);
    await shop.database.query('delete from letters');
    expect(await firstLeg()).toEqual([]);
  });

  test('rows that somebody has made since, behind the back of the run, are a reason to stop', async () => {
    shop = await openDataShop([reversible(7, 'v4.0.0')]);
    const write = () => shop.database.query(`insert into letters values (1000, 'LETTER'), (1001, 'x'), (1002, 'y')`);
    expect(await firstLeg(write)).toEqual([
      {
        code: 'dataNotAtEnd',
        database: 'frontend',
        evidence: expect.stringMatching(
          /^data migration 7 \(moves 7\) is at 0\.0097\d* and must be at 0 here$/,
        ) as string,
        remedy: expect.stringContaining('abort this run and start again') as string,
        mark: expect.any(String) as string,
      },
    ]);
  });

  test('is accepted as it was found; at another progress it is a reason again', async () => {
    shop = await openDataShop([reversible(7, 'v4.0.0')]);
    const write = () => shop.database.query(`insert into letters values (1000, 'LETTER'), (1001, 'x'), (1002, 'y')`);
    const [shown] = await firstLeg(write);
    await standing.accept(shown as DirtyReason, '2026-11-23T03:00:00Z');
    expect(await standing.reasons()).toEqual([]);
    await shop.database.query(`insert into letters values (1003, 'LETTER')`);
    expect(await standing.reasons()).toEqual([expect.objectContaining({ code: 'dataNotAtEnd' })]);
    await expect(standing.accept(shown as DirtyReason, '2026-11-23T03:01:00Z')).rejects.toMatchObject({
      message: expect.stringContaining('It has changed since it was shown') as string,
    });
    expect(await shop.database.query('select kind, decided_by from pgunwind.decision')).toEqual([
      { kind: 'acceptDirty', decided_by: 'ann' },
    ]);
  });

  test('a progress that cannot be asked any more is no reason, and a warning of the run', async () => {
    shop = await openDataShop([reversible(7, 'v4.0.0')]);
    expect(await firstLeg(() => shop.database.query('revoke all on letters from current_user'))).toEqual([]);
    expect(await standing.warnings()).toEqual([
      expect.stringMatching(/^frontend data migration 7: its progress could not be asked at v4\.0\.0 .* still at 0$/),
    ]);
  });

  test('the record of the product speaks for what the leg has not moved: deprecated at 1', async () => {
    shop = await openDataShop([
      reversible(7, 'v4.0.0'),
      reversible(8, 'v2.0.0', 'select 1', { deprecated: 'v3.0.0' }),
      reversible(9, 'v2.0.0', 'select 1', { deprecated: 'v4.0.0' }),
      reversible(10, 'v2.0.0', 'select 1'),
    ]);
    await shop.database.query(born('1.0.0') + '; ' + record('(7, 1), (8, 0.65), (9, 1), (10, 0.5)'));
    expect(await firstLeg()).toMatchObject([
      {
        code: 'dataNotAtEnd',
        evidence: "data migration 8 (moves 8) stands at 0.65 in the product's own record and must be at 1 here",
      },
    ]);
  });

  test('the record of one that an activity moves is not judged', async () => {
    const activity = { taskQueue: 'shop-data', type: 'encrypt' };
    const keys = { introduced: 'v2.0.0', deprecated: 'v3.0.0', nonDestructive: true, activity };
    shop = await openDataShop([reversible(7, 'v4.0.0'), entry(8, keys)]);
    await shop.database.query(born('1.0.0') + '; ' + record('(7, 1), (8, 0.65)'));
    expect(await firstLeg()).toEqual([]);
  });

  test.each([
    ['that was born when it was deprecated', born('3.1.0')],
    ['that does not say when it was born', 'select 1'],
  ])('the record of an instance %s may say anything of it', async (_, setup) => {
    shop = await openDataShop([reversible(7, 'v4.0.0'), reversible(8, 'v2.0.0', 'select 1', { deprecated: 'v3.0.0' })]);
    await shop.database.query(setup + '; ' + record('(7, 1), (8, 0.65)'));
    expect(await firstLeg()).toEqual([]);
  });
});
