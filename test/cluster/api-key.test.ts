import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openClusterShop, type ClusterShop } from './cluster-shop.js';
import { openGateway, type Gateway } from './gateway.js';
import { openTemporalCluster, type TemporalCluster } from './temporal-cluster.js';
import { makeNamespace } from './namespace.js';
import { SERVER_NAME } from './certificates.js';

const API_KEY = `key-${randomBytes(8).toString('hex')}`;
const NAMESPACE = 'by-key';

let cluster: TemporalCluster;
let gateway: Gateway;
let shop: ClusterShop;

beforeAll(async () => {
  cluster = await openTemporalCluster();
  gateway = await openGateway(cluster, API_KEY);
  shop = await openClusterShop({
    instance: `key-${randomBytes(4).toString('hex')}`,
    temporal: {},
    env: {
      TEMPORAL_ADDRESS: gateway.address,
      TEMPORAL_NAMESPACE: NAMESPACE,
      TEMPORAL_API_KEY: API_KEY,
      TEMPORAL_TLS_SERVER_CA_CERT_PATH: cluster.certificates.ca.cert,
      TEMPORAL_TLS_SERVER_NAME: SERVER_NAME,
    },
  });
  await makeNamespace(shop, NAMESPACE);
}, 300_000);

afterAll(async () => {
  await shop?.close();
  await gateway?.close();
  await cluster?.close();
}, 60_000);

test('an API key is shown with every call, by the worker and by the commands', async () => {
  const { instance } = shop;
  const worker = await shop.worker('only');
  expect(await shop.pgUnwind('upgrade', instance, '--to', shop.newest)).toMatchObject({ code: 0 });
  await shop.inState('awaitingApproval');
  expect(await shop.pgUnwind('abort', instance)).toMatchObject({ code: 0 });
  await worker.terminate();
  for (const call of ['StartWorkflowExecution', 'PollWorkflowTaskQueue', 'RespondActivityTaskCompleted']) {
    expect([...gateway.served]).toContain(call);
  }
  expect([...gateway.refused]).toEqual([]);
  expect(worker.log().join('\n')).not.toContain(API_KEY);
});

test.each([
  ['without one', ''],
  ['with another', 'key-of-another-house'],
])('%s nobody is let in, and is told so', async (_how, key) => {
  const wrong = { TEMPORAL_API_KEY: key };
  const asked = await shop.pgUnwindWith(wrong, 'status', shop.instance);
  expect(asked).toMatchObject({ code: 2 });
  expect(asked.err).toContain(`does not let us into the namespace "${NAMESPACE}"`);
  expect(asked.err).toContain('TEMPORAL_API_KEY');
  expect(asked.err).not.toContain('another-house');
  expect(await shop.pgUnwindWith(wrong, 'worker')).toMatchObject({ code: 2, err: asked.err });
});
