import { classOf, compactFingerprint, withoutLayout, type Fingerprint, type ObjectClass } from './fingerprint.js';

export interface Difference {
  /** The object's key: `column public.users.id`. */
  readonly object: string;
  readonly what: ObjectClass;
  /** `missing`: expected and not found. */
  readonly kind: 'missing' | 'extra' | 'different';
  /** Canonical texts, where both fingerprints are full. For `columnOrder` the columns that both have. */
  readonly expected?: string;
  readonly found?: string;
  /** The two functions differ in layout only. */
  readonly whitespace?: true;
}

/**
 * What `found` has otherwise than `expected`, by key. Parts of a missing or extra table, view or schema are not listed
 * beside it. The order of columns is compared over those that both sides have; between compact forms only where both have
 * the same ones.
 */
export function diffFingerprints(expected: Fingerprint, found: Fingerprint): Difference[] {
  if (expected.hash === found.hash) return [];
  const compact = expected.form === 'compact' || found.form === 'compact';
  const before = compact ? compactFingerprint(expected).objects : expected.objects;
  const after = compact ? compactFingerprint(found).objects : found.objects;

  const missing = new Set(Object.keys(before).filter((key) => after[key] === undefined));
  const extra = new Set(Object.keys(after).filter((key) => before[key] === undefined));
  const otherColumns = new Set([...missing, ...extra].filter((key) => classOf(key) === 'column').map(tableOfColumn));

  const differences: Difference[] = [];
  for (const key of [...new Set([...Object.keys(before), ...Object.keys(after)])].sort(byCodeUnit)) {
    const [one, other] = [before[key], after[key]];
    const what = classOf(key);
    if (one === undefined || other === undefined) {
      const side = one === undefined ? extra : missing;
      if (wholes(key).some((whole) => side.has(whole))) continue;
      const kind = one === undefined ? 'extra' : 'missing';
      differences.push({ object: key, what, kind, ...texts(compact, one, other) });
    } else if (one !== other) {
      if (what === 'columnOrder') {
        if (compact && otherColumns.has(nameOf(key))) continue;
        const orders = compact ? { one, other } : commonOrder(one, other);
        if (orders.one === orders.other) continue;
        differences.push({ object: key, what, kind: 'different', ...texts(compact, orders.one, orders.other) });
        continue;
      }
      const whitespace = what === 'function' && layoutFree(compact, one) === layoutFree(compact, other);
      differences.push({
        object: key,
        what,
        kind: 'different',
        ...texts(compact, one, other),
        ...(whitespace ? { whitespace } : {}),
      });
    }
  }
  return differences;
}

/** One line for people: `function public.f() differs in white space only`. */
export function describeDifference({ object, what, kind, whitespace }: Difference): string {
  if (kind === 'missing') return `${object} is missing`;
  if (kind === 'extra') return `${object} should not be there`;
  if (what === 'columnOrder') return `table ${nameOf(object)} has its columns in another order`;
  return whitespace ? `${object} differs in white space only` : `${object} is different`;
}

function texts(compact: boolean, expected: string | undefined, found: string | undefined) {
  if (compact) return {};
  return { ...(expected === undefined ? {} : { expected }), ...(found === undefined ? {} : { found }) };
}

function layoutFree(compact: boolean, text: string): string {
  return compact ? (text.split('~')[1] ?? text) : withoutLayout(text);
}

function commonOrder(one: string, other: string): { one: string; other: string } {
  const [left, right] = [identifiers(one), identifiers(other)];
  const keep = (columns: string[], also: string[]) => columns.filter((column) => also.includes(column)).join(', ');
  return { one: keep(left, right), other: keep(right, left) };
}

/** Keys of what the object is a part of, innermost first: missing or extra, they speak for it. */
function wholes(key: string): string[] {
  const name = nameOf(key);
  switch (classOf(key)) {
    case 'comment':
    case 'privileges':
      return [name, ...wholes(name)];
    case 'column':
      return ofRelation(tableOfColumn(key));
    case 'columnOrder':
    case 'rowSecurity':
      return ofRelation(name);
    case 'constraint':
    case 'index':
    case 'trigger':
    case 'policy':
    case 'rule':
      return ofRelation(name.slice((identifiers(name)[0] ?? '').length + ' on '.length));
    case 'extension':
    case 'schema':
      return [];
    default:
      return [`schema ${identifiers(name)[0] ?? ''}`];
  }
}

function ofRelation(name: string): string[] {
  const relations = ['table', 'foreignTable', 'view', 'materializedView'].map((what) => `${what} ${name}`);
  return [...relations, `schema ${identifiers(name)[0] ?? ''}`];
}

function nameOf(key: string): string {
  return key.slice(key.indexOf(' ') + 1);
}

function tableOfColumn(key: string): string {
  return identifiers(nameOf(key)).slice(0, -1).join('.');
}

/** The identifiers of a text as quote_ident wrote them, quotes kept. */
function identifiers(text: string): string[] {
  return text.match(/"(?:[^"]|"")*"|[^".,() ]+/g) ?? [];
}

function byCodeUnit(left: string, right: string): number {
  return left < right ? -1 : 1;
}
