import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TASK_QUEUE, workflowIdOf } from '../../src/contract/ids.js';
import { startDevServer, type DevServer } from '../../src/temporal/dev-server.js';
import { untilSeen } from '../support/until.js';
import { openExampleShop, type ExampleShop } from './example-shop.js';
import { missingBrowser, openWebUi, type WebUi } from './web-ui.js';

// A Temporal server of its own: the one that the other tests share has no Web UI. So the names are those of docs/web-ui.md.
const instance = 'acme-eu';
const workflowId = workflowIdOf(instance);
const TARGET = 'v2.0.0';

let server: DevServer;
let shop: ExampleShop;
let ui: WebUi;

/** One downgrade, from its start to its end, with nothing but the Web UI and a psql: each test goes on where the one before ended. */
describe.skipIf(missingBrowser !== null)(
  `the Web UI alone${missingBrowser ? ` (skipped: ${missingBrowser})` : ''}`,
  () => {
    beforeAll(async () => {
      server = await startDevServer({ anyPort: true });
      shop = await openExampleShop({
        instance,
        temporal: { address: server.address, namespace: server.namespace },
        lockTimeoutMs: 30_000, // the heartbeat of an attempt is read with a browser
      });
      ui = await openWebUi(server.uiUrl ?? '');
    }, 240_000);

    afterAll(async () => {
      await ui?.close();
      await shop?.close();
      await server?.stop();
    });

    test('a downgrade is started in the form, and found by what it waits for', async () => {
      await ui.fillStart({
        workflowId,
        taskQueue: TASK_QUEUE,
        type: 'downgrade',
        input: { instance, to: TARGET },
      });
      await ui.picture('start');
      await ui.fillSummary('acme-eu down to v2.0.0, OPS-1182');
      await ui.submitStart();
      const { plan } = await shop.inState('awaitingApproval');

      await ui.openRun('UnwindState="awaitingApproval"', workflowId);
      const details = await ui.details(/awaitingApproval/);
      expect(details).toContain(plan);
      expect(details).toMatch(/table public\.loyalty_points: 30,000 rows/);
      await ui.page.frameLocator('iframe').first().getByText('acme-eu down to v2.0.0, OPS-1182').waitFor();
      await ui.picture('approval');
    });

    test('consent is given in the form; a step that waits for a lock says in its heartbeat for whom', async () => {
      // Behind it the step that takes this table away has to wait.
      const forgotten = await shop.connect('orders');
      await forgotten.query('begin');
      await forgotten.query('select count(*) from shipments_2027');
      // What no down script can put into an integer again.
      await shop.query('orders', A_LARGE_PAYMENT);

      const { plan } = await shop.inState('awaitingApproval');
      await ui.fillUpdate('approve', { plan, by: 'eve', why: 'ticket OPS-1182' });
      await ui.picture('approve');
      await ui.submitUpdate();

      await ui.pending(
        /"step": "1752114800 shipments of 2027, 1 of \d+[^]*AccessExclusiveLock on public\.shipments_2027/,
      );
      await ui.picture('pending', 720);
      await ui.openRun('UnwindState="running"', workflowId);
      await ui.details(/running/, /shipments of 2027/);
      await ui.picture('running');

      await ui.openTab('memo');
      await ui.page.getByText(`select body from pgunwind.plan where id = '${plan}'`).first().waitFor();
      await ui.picture('memo', 620);

      // Sent as it is, the form has no argument at all.
      await ui.fillUpdate('pause');
      await ui.submitUpdate();
      await ui.openRun('UnwindState="paused"', workflowId);
      await ui.details(/paused/, /`?resume`? to go on/);
      await ui.fillUpdate('pause');
      await ui.refused(/The run is paused already/);
      await ui.fillUpdate('resume', { by: 'eve', why: 'the application is stopped now' });
      await ui.submitUpdate();
      await forgotten.end();
    });

    test('a step that fails parks: the list shows it, the details say what to do, and retryStep without data goes on', async () => {
      await shop.inState('needsOperator');
      await ui.openList('UnwindState="needsOperator"');
      await ui.page.getByRole('link', { name: workflowId, exact: true }).first().waitFor();
      await ui.picture('list', 600);

      await ui.openRun('UnwindState="needsOperator"', workflowId);
      await ui.details(/orders is parked: StepFailed/, /22003/, /retryStep/);
      await ui.picture('parked');
      await ui.openTab('history');
      await ui.page.getByText('orders 1750300400 larger payments').first().waitFor();
      await ui.picture('history', 1000);

      // Meanwhile somebody is helpful in another database: the next check of it will find that.
      await shop.query('frontend', 'create index users_by_hand on users (created_at)');
      await shop.query('orders', SPLIT_IT);
      await ui.fillUpdate('retryStep');
      await ui.picture('retry', 720);
      await ui.submitUpdate();
    });

    test('what others changed parks as well; retryStep with data says who and why', async () => {
      const dirty = await untilSeen(
        () => shop.inState('needsOperator'),
        ({ parked }) => parked[0]?.failure === 'DirtyDatabase',
        { within: 60_000, describe: 'the run to find the index' },
      );
      expect(dirty.parked.flatMap(({ reasons }) => reasons)).toEqual([
        expect.objectContaining({ code: 'changedByOthers', database: 'frontend' }),
      ]);
      await ui.openRun('UnwindDirtyReason="changedByOthers"', workflowId);
      await ui.details(/is parked: DirtyDatabase/, /users_by_hand/);
      await ui.picture('dirty');

      await shop.query('frontend', 'drop index users_by_hand');
      await ui.fillUpdate('retryStep', { by: 'eve', why: 'dropped the index made by hand' });
      await ui.submitUpdate();
    });

    test('the end is in the list and in the result, with every decision', async () => {
      const report = (await shop.client.workflow.getHandle(workflowId).result()) as { decisions: object[] };
      await ui.openRun(`UnwindState="completed" and UnwindTarget="${TARGET}"`, workflowId);
      await ui.page.getByText('"outcome": "completed"').first().waitFor();
      await ui.picture('finished');
      expect(report).toMatchObject({ outcome: 'completed', standsAt: TARGET });
      expect(report.decisions).toEqual([
        expect.objectContaining({ kind: 'approve', by: 'eve', why: 'ticket OPS-1182' }),
        expect.objectContaining({ kind: 'pause', by: null, why: null }),
        expect.objectContaining({ kind: 'resume', by: 'eve', why: 'the application is stopped now' }),
        expect.objectContaining({ kind: 'retryStep', by: null, why: null }),
        expect.objectContaining({ kind: 'retryStep', by: 'eve', why: 'dropped the index made by hand' }),
      ]);
    });
  },
);

const A_LARGE_PAYMENT = `insert into payments (order_id, amount_cents, method, currency)
values (159999, 3000000000, 'transfer', 'EUR')`;
/** In two that fit. */
const SPLIT_IT = `with halved as (
  update payments set amount_cents = amount_cents / 2 where amount_cents > 2147483647
  returning order_id, amount_cents, paid_at, method, currency
)
insert into payments (order_id, amount_cents, paid_at, method, currency) select * from halved`;
