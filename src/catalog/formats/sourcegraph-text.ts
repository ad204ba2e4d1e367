import { loadParser, relationName, tryParse, type Statement } from '../../postgres/script-parse.js';

/** The two directions of one migration, after canonicalisation. */
export interface Texts {
  readonly up: string;
  readonly down: string;
}

export interface RuleBreach {
  readonly rule: 'V5' | 'V6' | 'V7' | 'V8';
  readonly class: string;
  readonly direction: 'up' | 'down';
  readonly message: string;
}

const FENCE = '-- +++';

/**
 * Sourcegraph's `CanonicalizeQuery`: front matter between two fences goes, then one leading `BEGIN;` and one trailing
 * `COMMIT;`. Its escaping of `%` is a matter of Go's templates and no part of the text.
 */
export function canonicalText(raw: string): string {
  let text = raw.trim();
  if (text.startsWith(FENCE)) {
    const end = text.indexOf(FENCE, FENCE.length);
    if (end >= 0) text = text.slice(end + FENCE.length).trim();
  }
  if (text.startsWith('BEGIN;')) text = text.slice('BEGIN;'.length);
  if (text.endsWith('COMMIT;')) text = text.slice(0, -'COMMIT;'.length);
  return text.trim();
}

const CONCURRENT = 'malformed concurrent index creation';

/** V5 to V8. A text that does not parse breaks none of them: the analysis of the scripts reports it. */
export async function textBreaches(
  { up, down }: Texts,
  declared: { readonly createIndexConcurrently: boolean; readonly privileged: boolean },
): Promise<{ readonly index: { index: string; table: string } | null; readonly breaches: RuleBreach[] }> {
  await loadParser();
  const breaches: RuleBreach[] = [];
  const breach = (rule: RuleBreach['rule'], name: string, direction: 'up' | 'down', message: string) => {
    breaches.push({ rule, class: name, direction, message });
  };
  const built = concurrentBuilds(up);
  const [first] = built ?? [];
  if ((concurrentBuilds(down)?.length ?? 0) > 0) {
    breach(
      'V5',
      CONCURRENT,
      'down',
      'concurrent creation of an index in the down query; build it in a migration of its own.',
    );
  }
  if (first !== undefined && !declared.createIndexConcurrently) {
    const message = 'concurrent creation of an index without createIndexConcurrently: true in metadata.yaml.';
    breach('V6', CONCURRENT, 'up', message);
  } else if (built !== null && first === undefined && declared.createIndexConcurrently) {
    const message = 'createIndexConcurrently: true without concurrent creation of an index; take the key out.';
    breach('V6', CONCURRENT, 'up', message);
  } else if (first !== undefined && (tryParse(up)?.length ?? 0) > 1) {
    const message = 'additional statements beside the concurrent creation of an index; move them to another migration.';
    breach('V7', CONCURRENT, 'up', message);
  }
  for (const [direction, text] of [
    ['up', up],
    ['down', down],
  ] as const) {
    if (declared.privileged || !touchesExtension(text)) continue;
    const message = `${direction}.sql creates, drops or comments on an extension; set privileged: true in metadata.yaml.`;
    breach('V8', 'malformed Postgres extension modification', direction, message);
    break; // one flag, one report
  }
  return { index: declared.createIndexConcurrently && first !== undefined ? first : null, breaches };
}

/** Null: the text cannot be read. Only texts with the word are parsed: there are hundreds, and most have none. */
function concurrentBuilds(text: string): { index: string; table: string }[] | null {
  if (!/concurrently/i.test(text)) return [];
  return (
    tryParse(text)?.flatMap(({ node }) => {
      if (!('IndexStmt' in node) || node.IndexStmt.concurrent !== true) return [];
      return [{ index: node.IndexStmt.idxname ?? '', table: relationName(node.IndexStmt.relation) }];
    }) ?? null
  );
}

function touchesExtension(text: string): boolean {
  return /extension/i.test(text) && (tryParse(text) ?? []).some(isAboutExtension);
}

function isAboutExtension({ node, text }: Statement): boolean {
  if ('CreateExtensionStmt' in node) return true;
  if ('DropStmt' in node) return node.DropStmt.removeType === 'OBJECT_EXTENSION';
  if ('CommentStmt' in node) return node.CommentStmt.objtype === 'OBJECT_EXTENSION';
  if (!('DoStmt' in node)) return false;
  return /\b(create|drop|comment\s+on)\s+extension\b/i.test(text.replace(/--[^\n]*/g, ' '));
}
