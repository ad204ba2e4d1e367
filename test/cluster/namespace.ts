import { expect } from 'vitest';
import { searchAttributeFlags } from '../../src/temporal/search-attributes.js';
import type { Ended } from '../e2e/command-line.js';
import { until } from '../support/until.js';
import type { ClusterShop } from './cluster-shop.js';

/** By the Temporal CLI; what we want of it, by `pg-unwind setup`. */
export async function makeNamespace(shop: ClusterShop, namespace: string): Promise<void> {
  await shop.temporal('operator', 'namespace', 'create', '--namespace', namespace, '--retention', '30d');
  let last: Ended | null = null;
  const done = await until(async () => ((last = await shop.pgUnwind('setup')).code === 0 ? last : null), {
    within: 60_000, // a namespace reaches the caches of the services within seconds
    every: 500,
    describe: 'setup to succeed',
    show: () => last,
  });
  expect(done.out).toContain(`Registered in the namespace "${namespace}"`);
  const known = await shop.temporal('operator', 'search-attribute', 'list');
  for (const flag of searchAttributeFlags()) expect(known).toMatch(new RegExp(flag.replace('=', '\\s+')));
}
