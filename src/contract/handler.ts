import { z } from 'zod';
import type { ConnectionHint } from './data-activities.js';

z.config({ jitless: true }); // as in input.ts

/** What an activity that handles a data migration is called with (docs/data-migrations.md): one JSON object, in any language. */
export interface HandlerCall {
  readonly instance: string;
  readonly database: string;
  /** The id of the data migration. */
  readonly migration: string;
  readonly direction: 'forward' | 'reverse';
  /** Where the journal says that the next batch begins; null: at the beginning. */
  readonly cursor: string | null;
  /** Rows of one batch, as the instance's options have it. */
  readonly batchSize: number;
  /** Of the claim: what `pgunwind.batch_from` and `pgunwind.batch_done` ask for. */
  readonly token: string;
  /** Where the database's connection string is to be found; never the string. */
  readonly connection: ConnectionHint;
  /** The run, as the journal names it. */
  readonly run: string;
}

/** Kept in Temporal's history with each call. */
const MOST_CURSOR = 2_000;
const MOST_ANSWER = 10_000;

const answerSchema = z.looseObject({
  cursor: z.string().max(MOST_CURSOR, `is longer than ${MOST_CURSOR} characters`).nullable(),
  rowsDone: z.int().min(0, 'is negative'),
  progress: z.number().min(0, 'is below 0').max(1, 'is above 1').nullable(),
  done: z.boolean(),
});

export interface HandlerAnswer {
  readonly cursor: string | null;
  readonly rowsDone: number;
  /** 0 is the older releases' form, 1 the newer ones'; null: there is no row to move at all. */
  readonly progress: number | null;
  readonly done: boolean;
}

const WANTED = {
  cursor: 'a text or null',
  rowsDone: 'a whole number from 0',
  progress: 'a number from 0 to 1, or null',
  done: 'true or false',
} as const;

/** @returns the answer, or in words what is wrong with it: names and kinds, and of values numbers only. */
export function readHandlerAnswer(value: unknown): HandlerAnswer | { readonly problems: readonly string[] } {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { problems: [`it is ${kindOf(value)}; it must be one JSON object`] };
  }
  const parsed = answerSchema.safeParse(value);
  if (!parsed.success) {
    const keys = [...new Set(parsed.error.issues.map(({ path }) => String(path[0])))] as (keyof typeof WANTED)[];
    return { problems: keys.map((key) => problemOf(key, (value as Record<string, unknown>)[key])) }; // as: an object, seen above
  }
  const length = JSON.stringify(value).length;
  if (length > MOST_ANSWER) return { problems: [`it has ${length} characters; ${MOST_ANSWER} are the most`] };
  const { cursor, rowsDone, progress, done } = parsed.data;
  return { cursor, rowsDone, progress, done };
}

function problemOf(key: keyof typeof WANTED, found: unknown): string {
  if (found === undefined) return `"${key}" is missing; it must be ${WANTED[key]}`;
  const what = typeof found === 'string' && key === 'cursor' ? `a text of ${found.length} characters` : kindOf(found);
  return `"${key}" is ${what}; it must be ${WANTED[key]}${key === 'cursor' ? `, of at most ${MOST_CURSOR} characters` : ''}`;
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (typeof value === 'number') return String(value);
  if (typeof value === 'boolean') return String(value);
  return Array.isArray(value) ? 'a list' : typeof value === 'string' ? 'a text' : 'an object';
}
