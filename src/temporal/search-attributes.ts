import type { Connection } from '@temporalio/client';
import { TypedSearchAttributes } from '@temporalio/common';
import { SEARCH_ATTRIBUTES } from '../contract/search-attributes.js';

type AnyKey = (typeof SEARCH_ATTRIBUTES)[number];

/** "Keyword", "Int": the type as the `temporal` command spells it. */
export function typeNameOf(key: AnyKey): string {
  return TypedSearchAttributes.toMetadataType(key.type);
}

/** `UnwindState=Keyword`, as `temporal server start-dev --search-attribute` takes it. */
export function searchAttributeFlags(): string[] {
  return SEARCH_ATTRIBUTES.map((key) => `${key.name}=${typeNameOf(key)}`);
}

export interface Registration {
  readonly registered: readonly string[];
  readonly missing: readonly AnyKey[];
  /** Registered under our name with another type, by someone else: a run that writes them would hang. */
  readonly ofAnotherType: readonly { readonly name: string; readonly expected: string; readonly found: string }[];
}

/**
 * Which of our search attributes the namespace knows. An attribute that it does not know makes a start fail and a later write
 * fail the workflow task, so a worker asks before it serves.
 */
export async function registeredSearchAttributes(connection: Connection, namespace: string): Promise<Registration> {
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
  const registered: string[] = [];
  const missing: AnyKey[] = [];
  const ofAnotherType: { name: string; expected: string; found: string }[] = [];
  for (const key of SEARCH_ATTRIBUTES) {
    const found = customAttributes[key.name];
    if (found === undefined || found === null) missing.push(key);
    else if (found === indexedTypeOf(key)) registered.push(key.name);
    else ofAnotherType.push({ name: key.name, expected: typeNameOf(key), found: typeNameOfIndexed(found) });
  }
  return { registered, missing, ofAnotherType };
}

/** Registers what is missing and returns those names. Takes effect within seconds on a server with a cluster-wide cache. */
export async function registerSearchAttributes(connection: Connection, namespace: string): Promise<readonly string[]> {
  const { missing } = await registeredSearchAttributes(connection, namespace);
  if (missing.length === 0) return [];
  await connection.operatorService.addSearchAttributes({
    namespace,
    searchAttributes: Object.fromEntries(missing.map((key) => [key.name, indexedTypeOf(key)])),
  });
  return missing.map((key) => key.name);
}

/** The wire's numbers: temporal/api/enums/v1/common.proto, IndexedValueType. */
const INDEXED = { TEXT: 1, KEYWORD: 2, INT: 3, DOUBLE: 4, BOOL: 5, DATETIME: 6, KEYWORD_LIST: 7 } as const;

function indexedTypeOf(key: AnyKey): number {
  return INDEXED[key.type];
}

function typeNameOfIndexed(value: number): string {
  const [type] = Object.entries(INDEXED).find(([, number]) => number === value) ?? [];
  return type === undefined ? `type ${value}` : TypedSearchAttributes.toMetadataType(type as AnyKey['type']);
}
