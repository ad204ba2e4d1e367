import type { WorkflowHandle } from '@temporalio/client';

/** What must not leave a database or a configuration, and what it is: the failure names the latter only. */
export interface Forbidden {
  readonly what: string;
  readonly text: string;
}

export interface ForbiddenOf {
  readonly urls?: readonly string[];
  readonly passwords?: readonly string[];
  /** Texts of scripts: each of their lines is forbidden. */
  readonly scripts?: readonly string[];
  /** Values of rows. */
  readonly rows?: readonly string[];
}

/** Shorter lines (`end;`, `);`) are nobody's secret, and would be found in any text. */
const SHORTEST_LINE = 8;

export function forbidden({ urls = [], passwords = [], scripts = [], rows = [] }: ForbiddenOf): readonly Forbidden[] {
  const lines = scripts.flatMap((script) => script.split('\n')).map((line) => line.trim());
  return [
    ...urls.map((text) => ({ what: 'a connection string', text })),
    ...passwords.flatMap((text) => both(text).map((form) => ({ what: 'a password', text: form }))),
    ...lines.filter((line) => line.length >= SHORTEST_LINE).map((text) => ({ what: 'a line of a script', text })),
    ...rows.map((text) => ({ what: 'a value of a row', text })),
  ];
}

/** As it is, and as it stands in a connection string. */
const both = (text: string) => [...new Set([text, encodeURIComponent(text)])];

/**
 * Every text of a history or of a part of it, payloads decoded and the strings in them freed of JSON's escapes. Takes what the
 * server answers (payloads are bytes) as well as a saved history (they are base64).
 */
export function textsOf(value: unknown): string[] {
  if (value instanceof Uint8Array) return decoded(Buffer.from(value).toString('utf8'));
  if (typeof value === 'string') return [value, ...decoded(Buffer.from(value, 'base64').toString('utf8'))];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) => [key, ...textsOf(part)]);
}

function decoded(text: string): string[] {
  try {
    return [text, ...stringsIn(JSON.parse(text))];
  } catch {
    return [text];
  }
}

function stringsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) => [key, ...stringsIn(part)]);
}

/** What was found, without saying it: `a password`. */
export function secretsIn(texts: readonly string[], list: readonly Forbidden[]): string[] {
  return [...new Set(list.filter(({ text }) => texts.some((kept) => kept.includes(text))).map(({ what }) => what))];
}

/**
 * All that Temporal keeps of a run and shows of it: events with their failures and summaries, memo, search attributes, the
 * heartbeats of what is under way, and where a worker answers, the current details and the status.
 */
export async function keptOf(handle: WorkflowHandle): Promise<string[]> {
  const [history, { raw }] = await Promise.all([handle.fetchHistory(), handle.describe()]);
  const asked = ['__temporal_workflow_metadata', 'status'].map((query) => handle.query(query).catch(() => null));
  return [...textsOf(history), ...textsOf(raw), ...stringsIn(await Promise.all(asked))];
}
