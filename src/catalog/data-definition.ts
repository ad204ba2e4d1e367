import { z } from 'zod';

const text = z.string().trim().min(1, 'is empty');

/** A number or a text in the file; made a text before it is looked at. It becomes part of workflow ids. */
const id = z
  .string()
  .regex(/^[A-Za-z0-9][\w.-]{0,99}$/, 'must be a whole number, or letters, digits, "_", "." and "-"');

const seconds = z.int('must be a whole number').min(1, 'is less than 1').max(2_592_000, 'is more than thirty days');

const sql = z.strictObject({
  progress: text,
  forward: text,
  reverse: text.optional(),
  verify: z.strictObject({ forward: text.optional(), reverse: text.optional() }).optional(),
});

const activity = z.strictObject({
  taskQueue: text,
  type: text,
  exactlyOnce: z.boolean().optional(),
  callTimeoutSeconds: seconds.optional(),
  heartbeatSeconds: seconds.optional(),
  maximumAttempts: z.int('must be a whole number').min(1, 'is less than 1').max(1_000, 'is more than 1000').optional(),
});

/** One entry of `data-migrations.yaml` (docs/catalog.md). */
const definitionSchema = z.strictObject({
  id,
  database: text,
  description: text,
  team: text.optional(),
  introduced: text,
  deprecated: text.optional(),
  reversible: z.boolean().optional(),
  nonDestructive: z.boolean().optional(),
  estimate: z.strictObject({ rows: z.int('must be a whole number').min(0, 'is negative') }).optional(),
  sql: sql.optional(),
  activity: activity.optional(),
});

export type DataDefinition = z.infer<typeof definitionSchema>;

/** The groups of keys by their place, for the list of those that are known. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  '': Object.keys(definitionSchema.shape),
  sql: Object.keys(sql.shape),
  'sql.verify': ['forward', 'reverse'],
  activity: Object.keys(activity.shape),
  estimate: ['rows'],
};

/** What an entry holds, whether or not it is sound; null where a key is missing or is no text. */
export interface ReadDefinition {
  readonly id: string | null;
  readonly database: string | null;
  readonly introduced: string | null;
  readonly deprecated: string | null;
  /** Null where its shape is broken. It may still break the rules of `faults`. */
  readonly definition: DataDefinition | null;
  readonly faults: readonly string[];
}

/** @param raw - A group of keys as YAML gives it. */
export function readDefinition(raw: Readonly<Record<string, unknown>>): ReadDefinition {
  const entry = { ...raw, ...(Number.isSafeInteger(raw['id']) ? { id: String(raw['id']) } : {}) };
  const parsed = definitionSchema.safeParse(entry);
  const faults = (parsed.error?.issues ?? []).flatMap((issue) => inOurWords(issue, entry));
  const textOf = (key: string) => {
    const value = valueAt(entry, [key]);
    return typeof value === 'string' && value.trim() !== '' ? value.trim() : null;
  };
  return {
    id: id.safeParse(entry['id']).data ?? null,
    database: textOf('database'),
    introduced: textOf('introduced'),
    deprecated: textOf('deprecated'),
    definition: parsed.data ?? null,
    faults: [...faults, ...handlerFaults(entry)],
  };
}

/** Looks at what was written rather than at what was parsed: told together with the faults of the shape. */
function handlerFaults(entry: unknown): string[] {
  const has = (...at: string[]) => valueAt(entry, at) !== undefined;
  const is = (key: string, value: boolean) => valueAt(entry, [key]) === value;
  const faults: string[] = [];
  if (has('sql') && has('activity')) faults.push('It has both "sql" and "activity"; keep one of them.');
  if (!has('sql') && !has('activity')) faults.push('It has no handler: give it "sql" or "activity".');
  if (has('sql')) {
    if (is('reversible', true) && !has('sql', 'reverse')) {
      faults.push('It is reversible without "sql.reverse"; write that query, or set "reversible: false".');
    }
    if (is('reversible', false) && has('sql', 'reverse')) {
      faults.push('It has "sql.reverse" and "reversible: false"; take one of them out.');
    }
    if (has('sql', 'verify', 'reverse') && !has('sql', 'reverse')) {
      faults.push('It has "sql.verify.reverse" without "sql.reverse"; take it out, or write that query.');
    }
  } else if (has('activity') && !has('reversible') && !is('nonDestructive', true)) {
    faults.push('Nobody can see whether its activity reverses: set "reversible" to true or false.');
  }
  return faults;
}

function inOurWords(issue: z.core.$ZodIssue, entry: unknown): string[] {
  const at = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const known = (KEYS[at] ?? []).join(', ');
    return issue.keys.map((key) => `"${at === '' ? key : `${at}.${key}`}" is no known key; known: ${known}.`);
  }
  if (issue.code !== 'invalid_type') return [`"${at}" ${issue.message}.`];
  const found = valueAt(entry, issue.path);
  const wanted = WANTED[issue.expected] ?? `a ${issue.expected}`;
  if (found === undefined) return [`"${at}" is missing; it must be ${wanted}.`];
  if (found === null) return [`"${at}" has no value; it must be ${wanted}.`];
  const quote = typeof found === 'number' && issue.expected === 'string' ? ': write it in quotes' : '';
  return [`"${at}" is ${kindOf(found)}; it must be ${wanted}${quote}.`];
}

const WANTED: Readonly<Record<string, string>> = {
  object: 'a group of keys',
  string: 'a text',
  boolean: 'true or false',
  number: 'a whole number',
  int: 'a whole number',
};

const FOUND: Readonly<Record<string, string>> = {
  object: 'a group of keys',
  string: 'a text',
  boolean: 'true or false',
  number: 'a number',
};

export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  return Array.isArray(value) ? 'a list' : (FOUND[typeof value] ?? `a ${typeof value}`);
}

function valueAt(value: unknown, at: readonly PropertyKey[]): unknown {
  let here = value;
  for (const step of at) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, step)) return undefined;
    here = (here as Record<PropertyKey, unknown>)[step];
  }
  return here;
}
