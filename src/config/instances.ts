import { FailureType, UnwindError } from '../contract/errors.js';
import { suggestion } from './nearest.js';
import type { Config, InstanceConfig, ProductConfig } from './schema.js';

export interface Product extends ProductConfig {
  readonly name: string;
}

/** An instance with its product: what a run needs to know of the configuration. Holds references to secrets, no secret. */
export interface Instance extends Omit<InstanceConfig, 'product'> {
  readonly name: string;
  readonly product: Product;
}

/** @throws {UnwindError} UnknownInstance, with the nearest names. */
export function findInstance(config: Config, name: string): Instance {
  const instance = Object.hasOwn(config.instances, name) ? config.instances[name] : undefined;
  if (instance === undefined) {
    throw unknown(FailureType.UnknownInstance, 'instance', name, Object.keys(config.instances), config.file);
  }
  return { ...instance, name, product: findProduct(config, instance.product) };
}

/** @throws {UnwindError} UnknownProduct, with the nearest names. */
export function findProduct(config: Config, name: string): Product {
  const product = Object.hasOwn(config.products, name) ? config.products[name] : undefined;
  if (product === undefined) {
    throw unknown(FailureType.UnknownProduct, 'product', name, Object.keys(config.products), config.file);
  }
  return { ...product, name };
}

/** In the file's order. */
export function allInstances(config: Config): Instance[] {
  return Object.keys(config.instances).map((name) => findInstance(config, name));
}

function unknown(type: FailureType, kind: string, name: string, known: readonly string[], file: string): UnwindError {
  const others = known.length === 0 ? `; it names no ${kind}` : suggestion(name, known);
  const message = `There is no ${kind} "${name}" in ${file}${others}`;
  return new UnwindError(type, `${message}${message.endsWith('?') ? '' : '.'} Nothing was done.`, {
    details: { [kind]: name },
  });
}
