import pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createRole, dropRole, type TestDatabase } from '../support/postgres.js';
import { closeGate } from '../support/gate.js';
import { until } from '../support/until.js';
import { buildLetters, holdUp, LETTERS, openLetters, type LettersShop } from './letters-shop.js';

let catalog: Awaited<ReturnType<typeof buildLetters>>;
beforeAll(async () => {
  catalog = await buildLetters();
});
afterAll(() => catalog.remove());

/** The application of a newer release: another role, whose sessions ours may not look into, and rows in the newer form. */
async function openApplication(database: TestDatabase, name: string) {
  const application = await installApplication(database, name);
  await application.open();
  return application;
}

async function installApplication(database: TestDatabase, name: string) {
  const role = await createRole(database, name.replaceAll('-', '_'));
  await database.query(`grant usage on schema public to ${role}; grant all on letters to ${role}`);
  const client = new pg.Client({ connectionString: database.urlAs(role), application_name: name });
  client.on('error', () => undefined);
  let closed: Promise<void> | null = null;
  const close = () => (closed ??= client.end());
  onTestFinished(async () => {
    await close();
    await dropRole(database, role);
  });
  let next = 1_000_000;
  return {
    role,
    open: () => client.connect(),
    close,
    write: () => client.query(`insert into letters values ($1::bigint, 'LETTER ' || $1::bigint)`, [(next += 1)]),
  };
}

async function standingAtTheTop(options: string): Promise<LettersShop> {
  const shop = await openLetters(catalog, options);
  expect(await (await shop.go('v3.0.0', 'up')).unaided()).toMatchObject({ outcome: 'completed' });
  return shop;
}

const inCapitals = async ({ database }: LettersShop) =>
  (await database.query<{ n: number }>(`select count(*)::integer as n from letters where text = upper(text)`))[0]?.n;

test('a newer application that writes on is waited for, so that what it writes is taken back too', async () => {
  const shop = await standingAtTheTop('{ writers: { policy: wait, exemptApplicationNames: [moni*] } }');
  const application = await openApplication(shop.database, 'shop-web');
  await openApplication(shop.database, 'monitor');
  const run = await shop.go('v1.0.0', 'down');
  const status = await run.inState('waiting');
  expect(status.writers).toEqual([
    { database: 'frontend', role: application.role, application: 'shop-web', sessions: 1 },
  ]);
  expect(status).toMatchObject({ stepsDone: 0, release: 'v2.0.0' });
  await application.write();
  await until(() => shop.engine.logged().includes('the leg to v2.0.0 waits for'), {
    describe: 'the log to say for whom',
  });
  expect((await run.status()).state).toBe('waiting');
  await application.close();
  expect(await run.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0', warnings: [] });
  expect(await inCapitals(shop)).toBe(0);
  expect(await shop.database.query(`select rows::int, progress from pgunwind.data_step where act = 'reverse'`)).toEqual(
    [{ rows: LETTERS + 1, progress: 0 }],
  );
});

test('one that comes back when the leg has begun is found by the last look at the data, and named', async () => {
  const shop = await standingAtTheTop('{ writers: { policy: wait, exemptApplicationNames: [a session of the test] } }');
  await holdUp(shop);
  await shop.database.query(`
    create function late() returns trigger language plpgsql as $$
      begin insert into public.letters values (2000000, 'LATE'); return new; end $$;
    create trigger late after insert on pgunwind.leg for each row when (new.leg = 0) execute function late()`);
  const application = await installApplication(shop.database, 'shop-web');
  const gate = await closeGate(shop.database, 1);
  const run = await shop.go('v1.0.0', 'down');
  await gate.waiter();
  await application.open();
  await gate.open();
  const { parked } = await run.inState('needsOperator');
  const [reason] = parked.flatMap(({ reasons }) => reasons);
  expect(reason?.code).toBe('dataNotAtEnd');
  expect(reason?.evidence).toMatch(/^data migration 7 .* must be at 0 here; connected now: "shop-web" \(role /);
  await application.close();
  await shop.database.query('delete from letters where id = 2000000');
  await run.update('retryStep');
  expect(await run.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
});

test('what the application writes at a stop where its data has just been taken back is found before the schema goes on, and taken back by the next run', async () => {
  const shop = await standingAtTheTop('{ writers: { policy: wait } }');
  const application = await installApplication(shop.database, 'shop-web');
  const down = { instance: shop.name, to: 'v1.0.0' };
  const { plan } = await shop.engine.plan({ ...down, direction: 'down' });
  const run = await shop.engine.start('downgrade', { ...down, via: ['v2.0.0'], acceptDataLoss: plan.id });
  await run.inState('atStop');
  expect(await inCapitals(shop)).toBe(0);
  await application.open();
  await application.write();
  await run.update('continue');
  await run.inState('waiting');
  await application.close();
  const { parked } = await run.inState('needsOperator');
  expect(parked).toMatchObject([{ during: 'verify', failure: 'DirtyDatabase', reasons: [{ code: 'dataNotAtEnd' }] }]);
  expect(await shop.witnessed()).not.toContain('2 down');

  await run.update('abort');
  await run.unaided();
  const again = await shop.go('v1.0.0', 'down');
  expect(await again.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
  expect(await inCapitals(shop)).toBe(0);
});

test('where the policy is to refuse, the instance parks before the first step, and says who, what it means and what to do', async () => {
  const shop = await standingAtTheTop('{ writers: { policy: refuse } }');
  const application = await openApplication(shop.database, 'shop-web');
  const run = await shop.go('v1.0.0', 'down');
  const { parked, stepsDone } = await run.inState('needsOperator');
  expect(stepsDone).toBe(0);
  expect(parked).toMatchObject([{ database: null, failure: 'ActiveWriters' }]);
  const [{ message } = { message: '' }] = parked;
  expect(message).toContain(`"shop-web" (role ${application.role}, one session) on frontend`);
  expect(message).toContain('exemptRoles');
  expect(message).toContain('retryStep');
  await application.close();
  await run.update('retryStep');
  expect(await run.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0' });
});

test('where the policy is to refuse, sessions that go a moment after their application was stopped are no reason to park', async () => {
  const shop = await standingAtTheTop('{ writers: { policy: refuse } }');
  const application = await openApplication(shop.database, 'shop-web');
  const run = await shop.go('v1.0.0', 'down');
  await until(() => shop.engine.logged().includes('it looks again for'), {
    describe: 'the first look',
    every: 10,
  });
  await application.close();
  expect(await run.unaided()).toMatchObject({ outcome: 'completed', standsAt: 'v1.0.0', decisions: [] });
  expect(await inCapitals(shop)).toBe(0);
});

test('without a policy the run goes on and warns, naming the sessions and not their queries', async () => {
  const shop = await standingAtTheTop('{}');
  const application = await openApplication(shop.database, 'shop-web');
  const run = await shop.go('v2.0.0', 'down');
  const { warnings } = await run.unaided();
  expect(warnings).toContainEqual(
    expect.stringMatching(
      new RegExp(`^"shop-web" \\(role ${application.role}, one session\\) on frontend is connected`),
    ),
  );
  expect(warnings.join()).not.toContain('select');
});
