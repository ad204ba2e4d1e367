import { z } from 'zod';
import { nearestNames } from './nearest.js';

/** Where a connection string is to be found. Never the string itself, unless it holds no secret. */
export type ConnectionReference =
  | { readonly kind: 'env'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string }
  /** Its standard output is the connection string. Run without a shell. */
  | { readonly kind: 'command'; readonly argv: readonly [string, ...string[]] }
  | { readonly kind: 'url'; readonly url: string };

const KINDS = ['env', 'file', 'command'] as const;
const HOW = 'write exactly one of { env: NAME }, { file: PATH } or { command: [program, argument, …] }';

export const connectionReferenceSchema = referenceSchema(HOW, (given) =>
  hasNoPassword(given)
    ? null
    : `a connection string does not belong in this file (it may hold a password, and files are copied and committed): ${HOW}`,
);

/**
 * The ways of the file, as a union that can be switched on. Written by hand: the messages of a zod union name none of the ways.
 * @param refusal what is wrong with a plain text in place of a reference; null: it may stand there.
 */
export function referenceSchema(how: string, refusal: (text: string) => string | null) {
  return z.unknown().transform((value, context): ConnectionReference => readReference(value, context, how, refusal));
}

function readReference(
  value: unknown,
  context: z.core.$RefinementCtx,
  how: string,
  refusal: (text: string) => string | null,
): ConnectionReference {
  const refuse = (message: string, path: string[] = []): never => {
    context.issues.push({ code: 'custom', message, path, input: undefined }); // the input may be the secret
    return z.NEVER;
  };
  if (typeof value === 'string') {
    const wrong = refusal(value);
    return wrong === null ? { kind: 'url', url: value } : refuse(wrong);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse(`${value === undefined || value === null ? 'is missing' : 'is not a reference'}: ${how}`);
  }

  const given = Object.entries(value);
  for (const [key] of given) {
    if ((KINDS as readonly string[]).includes(key)) continue;
    const [near] = nearestNames(key, KINDS);
    refuse(`unknown key "${key}"${near ? `; "${near}" is nearest` : ''}: ${how}`, [key]);
  }
  const known = given.filter(([key]) => (KINDS as readonly string[]).includes(key));
  if (known.length < given.length) return z.NEVER;
  const [first] = known;
  if (first === undefined || known.length > 1) {
    return refuse(`has ${known.length === 0 ? 'none' : known.map(([key]) => `"${key}"`).join(' and ')}: ${how}`);
  }

  const [kind, content] = first;
  if (kind === 'command') {
    if (
      !Array.isArray(content) ||
      content.length === 0 ||
      !content.every((part) => typeof part === 'string' && part !== '')
    ) {
      return refuse('must be a list of the program and its arguments, such as [pass, show, db]; there is no shell', [
        'command',
      ]);
    }
    return { kind: 'command', argv: content as [string, ...string[]] };
  }
  if (typeof content !== 'string' || content === '') return refuse('must be a text that is not empty', [kind]);
  if (kind === 'file') return { kind: 'file', path: content };
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(content)) {
    return refuse('must be the name of an environment variable, without "$" and without its value', ['env']);
  }
  return { kind: 'env', name: content };
}

function hasNoPassword(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  const secrets = ['password', 'sslpassword'].some((name) => url.searchParams.has(name));
  return /^postgres(ql)?:$/.test(url.protocol) && url.password === '' && !secrets;
}
