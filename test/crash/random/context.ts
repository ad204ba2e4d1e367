import type { Client } from '@temporalio/client';
import type { Proxy } from '../../support/wire-proxy.js';
import type { Case, FaultKind } from './case.js';
import type { Standing } from './start-state.js';

/** One connection for all cases: their workers come and go. */
export interface TemporalOfCases {
  readonly client: Client;
  readonly address: string;
  readonly namespace: string;
}

/** What belongs to one case while it runs. */
export interface CaseContext {
  readonly test: Case;
  readonly folder: string;
  readonly config: string;
  /** Where the workers find the databases: behind `postgresProxy`. */
  readonly env: Readonly<Record<string, string>>;
  readonly postgresProxy: Proxy;
  /** Where worker processes find Temporal: behind `temporalProxy`. */
  readonly temporalAddress: string;
  readonly temporalProxy: Proxy;
  readonly temporal: TemporalOfCases;
  readonly taskQueue: string;
  readonly workflowId: string;
  readonly standings: readonly Standing[];
  readonly tally: Tally;
  /** Kinds of faults that were begun: what follows of one may show before it has ended. */
  readonly begun: Set<FaultKind>;
}

/** What happened, for the summary. */
export interface Tally {
  /** By kind, as often as one was really played. */
  readonly faults: Map<string, number>;
  /** What the driver did as the operator, by what it answered. */
  readonly operator: Map<string, number>;
  /** Steps that a later attempt took up, and how. */
  readonly recoveries: Map<string, number>;
}

export const newTally = (): Tally => ({ faults: new Map(), operator: new Map(), recoveries: new Map() });

export function count(counts: Map<string, number>, what: string, by = 1): void {
  counts.set(what, (counts.get(what) ?? 0) + by);
}

export function addTally(all: Tally, one: Tally): void {
  for (const key of ['faults', 'operator', 'recoveries'] as const) {
    for (const [what, number] of one[key]) count(all[key], what, number);
  }
}

/** The product under test did something that it must not do. */
export class Finding extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'Finding';
  }
}
