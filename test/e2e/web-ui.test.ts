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
      shop = await openExampleShop({ instance, temporal: { address: server.address, namespace: server.namespace } });
      ui = await openWebUi(server.uiUrl ?? '');
    }, 240_000);

    afterAll(async () => {
      await ui?.close();
      await shop?.close();
      await server?.stop();
    });

    test('a downgrade is started in the form, and found by what it waits for', async () => {
      await ui.startWorkflow({
        workflowId,
        taskQueue: TASK_QUEUE,
        type: 'downgrade',
        input: { instance, to: TARGET },
      });
      await ui.picture('start');
      await ui.page.getByRole('button', { name: 'Start Workflow' }).last().click();
      const { plan } = await shop.inState('awaitingApproval');

      await ui.openRun('UnwindState="awaitingApproval"', workflowId);
      const details = await ui.details(/awaitingApproval/);
      expect(details).toContain(plan);
      expect(details).toMatch(/table public\.loyalty_points: 30,000 rows/);
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

      await ui.openTab('pending-activities');
      await ui.page
        .getByText(/AccessExclusiveLock on public\.shipments_2027/)
        .first()
        .waitFor();
      await ui.picture('pending', 720);
      await ui.openRun('UnwindState="running"', workflowId);
      await ui.details(/running/, /shipments of 2027/);
      await ui.picture('running');
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
