import { randomUUID } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { createMakeDataPlan } from '../../src/activities/make-data-plan.js';
import { createMakePlan } from '../../src/activities/make-plan.js';
import { openDataShop, reversible, type DataShop } from '../support/data-shop.js';
import { expectNoLeaks } from '../support/postgres.js';

let shop: DataShop;
afterEach(async () => {
  await expectNoLeaks(shop.database);
  await shop.close();
});

const owner = (workflowId: string) => ({ namespace: 'default', workflowId, runId: 'r' });
/** `takeOver`, so that nobody is asked who else is at work: there is no Temporal here. */
const plan = () =>
  createMakeDataPlan(shop.deps)({
    instance: 'acme',
    id: '7',
    direction: 'reverse',
    owner: owner('unwind/acme/data/7'),
    takeOver: true,
    run: randomUUID(),
  });

test('the plan, its queries and the run are in the journal of its database, and the run names no release that a way could lead to', async () => {
  shop = await openDataShop([reversible(7, 'v2.0.0')]);
  const made = await plan();
  expect(made).toMatchObject({ from: 'v4.0.0', to: 'v4.0.0', resumed: false, destructiveSteps: 0, data: { id: '7' } });
  expect(await shop.database.query('select id, act from pgunwind.plan_data')).toEqual([{ id: '7', act: 'reverse' }]);
  expect(await shop.database.query('select plan, target, claimed_at from pgunwind.run')).toEqual([
    { plan: made.plan, target: 'data migration 7 reverse', claimed_at: null },
  ]);
  expect((await plan()).plan).toBe(made.plan);
});

test('a step that an earlier run left half-way refuses it: the ledger says one release, and the schema may be another', async () => {
  shop = await openDataShop([reversible(7, 'v2.0.0')]);
  const way = await createMakePlan(shop.deps)({
    instance: 'acme',
    direction: 'down',
    to: 'v3.0.0',
    from: null,
    owner: owner('unwind/acme'),
    run: randomUUID(),
  });
  await shop.database.query(
    `insert into pgunwind.step (run, seq, leg, migration, direction, execution, script, state, attempt, token, pid, backend_start, xids)
     select $1, q.seq, q.leg, q.migration, q.direction, q.execution, q.script, 'started', 1, gen_random_uuid(), 1, now(), '{}'
       from pgunwind.plan_step q where q.plan = $2`,
    [way.run, way.plan],
  );
  await shop.database.query(`
    insert into migration_logs (migration_logs_schema_version, schema, version, up, started_at)
    values (2, 'schema_migrations', 4, false, now())`);
  await expect(plan()).rejects.toMatchObject({
    type: 'DataNotRunnable',
    message: expect.stringContaining('left a step of "frontend" half-way') as string,
  });
});
