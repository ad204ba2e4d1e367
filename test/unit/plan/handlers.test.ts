import { expect, test } from 'vitest';
import type { CatalogDataMigration } from '../../../src/contract/catalog.js';
import type { OpenInstance } from '../../../src/instance/instances.js';
import { planFrom } from '../../../src/instance/planning.js';
import type { Survey } from '../../../src/instance/survey.js';
import { ledgerAt, smallCatalog, type SmallCatalog } from './small-catalog.js';

const small: SmallCatalog = {
  databases: { app: { graph: { 1: [], 2: [1], 3: [2] } } },
  releases: [
    { label: 'v1', ids: { app: [1] } },
    { label: 'v2', ids: { app: [1, 2] } },
    { label: 'v3', ids: { app: [1, 2, 3] } },
  ],
};

const encrypts: CatalogDataMigration = {
  id: '7',
  database: 'app',
  description: 'Encrypts the e-mail addresses',
  team: null,
  introduced: 'v2',
  deprecated: 'v3',
  reversal: 'reversible',
  estimatedRows: null,
  handlers: [
    { handler: { kind: 'activity', taskQueue: 'shop-data', type: 'encrypt', exactlyOnce: true }, carriedBy: [[0, 2]] },
  ],
};

const planned = (over: Partial<CatalogDataMigration>, to: string, direction: 'down' | 'up') => {
  const catalog = { ...smallCatalog(small), dataMigrations: [{ ...encrypts, ...over }] };
  const state = ledgerAt(small, direction === 'down' ? 'v3' : 'v1')['app'];
  // as: of an instance and of a survey the planner reads no more than this
  const instance = { catalog: async () => ({ catalog, hash: 'c0' }), databases: [{ name: 'app' }] };
  const surveys = { app: { database: 'app', state } as Survey };
  return planFrom(instance as unknown as OpenInstance, { to, direction, from: null }, surveys);
};

test.each(['down', 'up'] as const)(
  'a plan %s that needs an activity handler is refused, and says which',
  async (direction) => {
    const target = direction === 'down' ? 'v1' : 'v3';
    await expect(planned({}, target, direction)).rejects.toMatchObject({
      type: 'ScriptRefused',
      message: expect.stringContaining(
        `app data migration 7 (Encrypts the e-mail addresses): ${direction === 'down' ? 'reverse' : 'forward'}`,
      ) as string,
      details: { dataMigrations: [{ id: '7', database: 'app' }] },
    });
  },
);

test('a plan that leaves such a data migration as it is, or does not meet it, is made', async () => {
  const { plan } = await planned({ reversal: 'notNeeded' }, 'v1', 'down');
  expect(plan.legs.flatMap(({ data = [] }) => data.map(({ act }) => act))).toEqual(['leave']);
  expect((await planned({}, 'v2', 'up')).plan.legs).toHaveLength(1);
});
