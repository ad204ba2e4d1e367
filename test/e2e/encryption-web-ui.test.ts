import { randomBytes } from 'node:crypto';
import getPort from 'get-port';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { workflowIdOf } from '../../src/contract/ids.js';
import { startDevServer, type DevServer } from '../../src/temporal/dev-server.js';
import { openClusterShop, type ClusterShop } from '../cluster/cluster-shop.js';
import { until } from '../support/until.js';
import { pgUnwind, stop, type Running } from './command-line.js';
import { missingBrowser, openWebUi, type WebUi } from './web-ui.js';

const instance = 'acme-eu';
let server: DevServer;
let shop: ClusterShop;
let codec: Running;
let ui: WebUi;

describe.skipIf(missingBrowser !== null)(
  `an encrypted run in the Web UI${missingBrowser ? ` (skipped: ${missingBrowser})` : ''}`,
  () => {
    let codecUrl: string;

    beforeAll(async () => {
      server = await startDevServer({ anyPort: true });
      const { address, namespace, uiUrl } = server;
      const keys = [{ id: 'spring', secret: { env: 'PAYLOAD_KEY' } }];
      const env = {
        PAYLOAD_KEY: randomBytes(32).toString('base64'),
        TEMPORAL_ADDRESS: address,
        TEMPORAL_NAMESPACE: namespace,
      };
      shop = await openClusterShop({ instance, temporal: { address, namespace, encryption: { keys } }, env });
      const listen = `127.0.0.1:${await getPort({ host: '127.0.0.1' })}`;
      codecUrl = `http://${listen}`;
      const words = ['codec-server', '--listen', listen, '--allow-origin', uiUrl ?? '', '--config', shop.configFile];
      codec = pgUnwind(words, env);
      await until(() => codec.printed().includes('Decrypting at'), { within: 60_000, describe: 'the codec server' });
      await shop.worker('only');
      ui = await openWebUi(uiUrl ?? '');
    }, 240_000);

    afterAll(async () => {
      await ui?.close();
      if (codec) await stop(codec);
      await shop?.close();
      await server?.stop();
    });

    test('it is not readable, until the address of the codec server is given', async () => {
      const started = await shop.pgUnwind('upgrade', instance, '--to', shop.newest, '--by', 'eve');
      expect(started, started.err).toMatchObject({ code: 0 });
      await ui.openRun('UnwindState="awaitingApproval"', workflowIdOf(instance));
      // The type of the activity that has made the plan is readable; what it does is not yet.
      await ui.openTab('history');
      await ui.page.getByText('makePlan').locator('visible=true').first().waitFor();
      const summary = ui.page.getByText(`plan the way of ${instance} up to ${shop.newest}`).locator('visible=true');
      expect(await summary.count()).toBe(0);
      const button = ui.page
        .getByRole('button', { name: /codec server/i })
        .locator('visible=true')
        .first();
      await button.click();
      await ui.page.getByLabel('Codec Server browser endpoint').locator('visible=true').fill(codecUrl);
      await ui.page.getByRole('button', { name: 'Apply' }).locator('visible=true').click();
      await ui.details(/awaitingApproval/, /Waits for the update/);
      await summary.first().waitFor();
    });
  },
);
