import type { z } from 'zod';
import { hookProblems } from './hook-problems.js';
import { suggestion } from './nearest.js';
import { recordAt, valueAt, type Problem } from './written.js';

export interface ConfigProblem {
  /** `instances.acme-eu.databases.frontend.url` */
  readonly path: string;
  readonly line: number | null;
  /** What was found and what to write instead. Never a value that may be a secret. */
  readonly message: string;
}

/** Every problem of the content: what the schema says, in our words, and the names that do not fit together. */
export function problemsOf(raw: unknown, issues: readonly z.core.$ZodIssue[], schema: z.ZodType): Problem[] {
  return [...issues.flatMap((issue) => inOurWords(issue, raw, schema)), ...crossReferences(raw), ...hookProblems(raw)];
}

function inOurWords(issue: z.core.$ZodIssue, raw: unknown, schema: z.ZodType): Problem[] {
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = keysOf(schema, issue.path);
      return issue.keys.map((key) => ({ at: [...issue.path, key], message: `unknown key${suggestion(key, known)}` }));
    }
    case 'invalid_key':
      return issue.issues.map(({ message }) => ({ at: issue.path, message }));
    case 'invalid_type': {
      const found = valueAt(raw, issue.path);
      const missing = found === undefined || found === null;
      return [
        {
          at: issue.path,
          message: `${missing ? 'is missing' : `is ${kindOf(found)}`}; it must be ${article(issue.expected)}`,
        },
      ];
    }
    case 'invalid_value':
      return [{ at: issue.path, message: `must be ${issue.values.map((value) => `"${String(value)}"`).join(' or ')}` }];
    default:
      return [{ at: issue.path, message: issue.message }];
  }
}

/** Looks at what was written rather than at what was parsed, so that these problems are told together with the others. */
function crossReferences(raw: unknown): Problem[] {
  const problems: Problem[] = [];
  const products = recordAt(raw, ['products']);
  for (const [product, content] of Object.entries(products)) {
    const database = valueAt(content, ['releaseMarker', 'database']);
    const known = Object.keys(recordAt(content, ['databases']));
    if (typeof database !== 'string' || known.length === 0 || known.includes(database)) continue;
    problems.push({
      at: ['products', product, 'releaseMarker', 'database'],
      message: `product "${product}" has no database "${database}"${suggestion(database, known)}`,
    });
  }
  for (const [instance, content] of Object.entries(recordAt(raw, ['instances']))) {
    const product = valueAt(content, ['product']);
    if (typeof product !== 'string') continue;
    if (!Object.hasOwn(products, product)) {
      const known = Object.keys(products);
      const message = known.length === 0 ? 'there is no product under "products"' : `there is no product "${product}"`;
      problems.push({ at: ['instances', instance, 'product'], message: message + suggestion(product, known) });
      continue;
    }
    const wanted = Object.keys(recordAt(products[product], ['databases']));
    const given = Object.keys(recordAt(content, ['databases']));
    for (const database of given.filter((one) => !wanted.includes(one))) {
      const message = `product "${product}" has no database "${database}"${suggestion(database, wanted)}`;
      problems.push({ at: ['instances', instance, 'databases', database], message });
    }
    for (const database of wanted.filter((one) => !given.includes(one))) {
      const message = `database "${database}" of product "${product}" is missing: add "${database}: { url: { env: … } }"`;
      problems.push({ at: ['instances', instance, 'databases'], message });
    }
  }
  return problems;
}

/** The keys that the schema knows at a path: for the nearest one to a misspelt key. */
function keysOf(schema: z.ZodType, at: readonly PropertyKey[]): string[] {
  let here = unwrap(schema);
  for (const step of at) {
    const { def } = here._zod as unknown as { def: { shape?: Record<string, z.ZodType>; valueType?: z.ZodType } };
    const next = def.shape?.[String(step)] ?? def.valueType;
    if (next === undefined) return [];
    here = unwrap(next);
  }
  const { shape, keyType } = (
    here._zod as unknown as { def: { shape?: Record<string, z.ZodType>; keyType?: z.ZodType } }
  ).def;
  const { entries = {} } = (keyType?._zod.def ?? {}) as { entries?: Record<string, string> }; // of a record whose keys are an enum
  return Object.keys(shape ?? entries);
}

/** Through `optional`, `default`, `nullable` to what they wrap. */
function unwrap(schema: z.ZodType): z.ZodType {
  let here = schema;
  for (;;) {
    const { innerType } = (here._zod as unknown as { def: { innerType?: z.ZodType } }).def;
    if (innerType === undefined) return here;
    here = innerType;
  }
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'a group of keys' : article(typeof value);
}

function article(kind: string): string {
  const names: Record<string, string> = {
    object: 'a group of keys',
    record: 'a group of keys',
    string: 'a text',
    int: 'a whole number',
    array: 'a list',
  };
  return names[kind] ?? `a ${kind}`;
}
