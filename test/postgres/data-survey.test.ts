import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { createMakePlan } from '../../src/activities/make-plan.js';
import { surveyData, type DataProgress } from '../../src/instance/data-survey.js';
import { planInstance } from '../../src/instance/planning.js';
import { entry, irreversible, LETTERS, openDataShop, reversible, type DataShop } from '../support/data-shop.js';
import { expectNoLeaks } from '../support/postgres.js';

let shop: DataShop;

async function survey(limits = { queryMs: 5_000, databaseMs: 20_000 }): Promise<DataProgress> {
  const instance = shop.instances.open('acme');
  const { plan, surveys } = await planInstance(instance, { to: 'v1.0.0', direction: 'down', from: null });
  return surveyData(instance, plan, surveys, { limits });
}

async function summary() {
  const owner = { namespace: 'default', workflowId: 'unwind/acme', runId: 'r' };
  const asked = { instance: 'acme', direction: 'down', to: 'v1.0.0', from: null, owner, run: randomUUID() } as const;
  return createMakePlan(shop.deps)(asked);
}

afterEach(async () => {
  await expectNoLeaks(shop.database);
  await shop.close();
});

describe('the progress beside a plan', () => {
  test('is asked of the data where the schema that stands lies in the window, and unknown elsewhere', async () => {
    shop = await openDataShop([
      reversible(1, 'v2.0.0', LETTERS),
      reversible(2, 'v2.0.0', LETTERS, { deprecated: 'v3.0.0' }),
      reversible(3, 'v2.0.0', LETTERS, { deprecated: 'v4.0.0' }),
      entry(4, { introduced: 'v2.0.0', reversible: false, activity: { taskQueue: 'q', type: 't' } }),
    ]);
    const { progress, plan } = await shop.engine.plan({ instance: 'acme', to: 'v1.0.0', direction: 'down' });
    expect(progress).toEqual({ 1: 0.25, 2: null, 3: 0.25, 4: null });
    await shop.database.query('update letters set text = upper(text)');
    const again = await shop.engine.plan({ instance: 'acme', to: 'v1.0.0', direction: 'down' });
    expect(again.progress).toMatchObject({ 1: 1 });
    expect(again.plan.id).toBe(plan.id);
  });

  test('is left out where the plan has no data migration', async () => {
    shop = await openDataShop([reversible(1, 'v2.0.0', LETTERS)]);
    const view = await shop.engine.plan({ instance: 'acme', to: 'v4.0.0', direction: 'down' });
    expect(view).not.toHaveProperty('progress');
  });

  test('is unknown after whatever a query does: it fails, takes too long, writes, or answers no share', async () => {
    shop = await openDataShop([
      reversible(1, 'v2.0.0', 'select 1 / 0'),
      reversible(2, 'v2.0.0', 'select 1 from pg_sleep(60)'),
      reversible(3, 'v2.0.0', 'select eat()'),
      reversible(4, 'v2.0.0', `select 'much'`),
      reversible(5, 'v2.0.0', 'select 7'),
      reversible(6, 'v2.0.0', 'select 0.5 where false'),
      reversible(7, 'v2.0.0', LETTERS),
    ]);
    await shop.database.query(
      `create function eat() returns float language sql as 'delete from letters; select 0.5::float'`,
    );
    const began = performance.now();
    expect(await survey({ queryMs: 700, databaseMs: 20_000 })).toEqual({
      1: null, 2: null, 3: null, 4: null, 5: null, 6: null, 7: 0.25,
    }); // prettier-ignore
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(await shop.database.query('select count(*)::int from letters')).toEqual([{ count: 100 }]);
  });

  test('is unknown of those for which no time is left', async () => {
    shop = await openDataShop([1, 2, 3].map((id) => reversible(id, 'v2.0.0', 'select 1 from pg_sleep(0.3)')));
    const found = Object.values(await survey({ queryMs: 5_000, databaseMs: 400 }));
    expect(found.filter((each) => each === null).length).toBeGreaterThanOrEqual(2);
    expect(found).toContain(1);
  });

  test('comes from the record of the product where the data cannot be asked', async () => {
    shop = await openDataShop([
      reversible(1, 'v2.0.0', LETTERS),
      entry(4, { introduced: 'v2.0.0', reversible: false, activity: { taskQueue: 'q', type: 't' } }),
    ]);
    await shop.database.query(`create table out_of_band_migrations (id integer primary key, progress double precision);
      insert into out_of_band_migrations values (1, 0.9), (4, 0.4)`);
    expect(await survey()).toEqual({ 1: 0.25, 4: 0.4 });
  });
});

describe('consent', () => {
  test('is asked for an irreversible data migration that has progressed', async () => {
    shop = await openDataShop([irreversible(7, 'v2.0.0', LETTERS), reversible(8, 'v2.0.0', LETTERS)]);
    expect(await summary()).toMatchObject({
      destructiveSteps: 1,
      destructiveExamples: ['frontend data migration 7 moves 7: irreversible, at 25 %'],
    });
  });

  test('is asked for one of which nobody knows how far it is', async () => {
    shop = await openDataShop([irreversible(7, 'v2.0.0', 'select 1 / 0')]);
    expect(await summary()).toMatchObject({
      destructiveSteps: 1,
      destructiveExamples: ['frontend data migration 7 moves 7: irreversible, its progress is not known'],
    });
  });

  test('is not asked for one that has no rows', async () => {
    shop = await openDataShop([irreversible(7, 'v2.0.0', 'select avg((text = upper(text))::integer) from letters')]);
    await shop.database.query('delete from letters');
    expect(await summary()).toMatchObject({ destructiveSteps: 0 });
  });

  test('is not asked for one that has not begun', async () => {
    shop = await openDataShop([irreversible(7, 'v2.0.0', LETTERS)]);
    await shop.database.query('update letters set text = lower(text)');
    expect(await summary()).toMatchObject({ destructiveSteps: 0, destructiveExamples: [] });
  });
});
