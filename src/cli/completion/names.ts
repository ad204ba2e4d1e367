import { openCatalog } from '../../catalog/store.js';
import { findInstance } from '../../config/instances.js';
import { loadConfig } from '../../config/load.js';
import { entries } from '../explain/page.js';
import type { Names } from './candidates.js';

/** From the configuration and its catalogs; no server is asked, so that the shell answers at once. */
export function configuredNames(file: string | undefined, env: NodeJS.ProcessEnv): Names {
  const config = () => loadConfig(file, { env });
  const productOf = (instance: string) => findInstance(config(), instance).product;
  const catalogOf = async (instance: string) => (await openCatalog(productOf(instance).catalog)).catalog;
  return {
    instances: async () => Object.keys(config().instances),
    databases: async (instance) => (instance === null ? [] : Object.keys(productOf(instance).databases)),
    releases: async (instance) =>
      instance === null ? [] : (await catalogOf(instance)).labels.map(({ label }) => label),
    dataMigrations: async (instance) =>
      instance === null ? [] : ((await catalogOf(instance)).dataMigrations ?? []).map(({ id }) => id),
    codes: async () => entries().map(({ code }) => code),
  };
}
