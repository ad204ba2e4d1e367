import { FATAL, RETRYABLE, type FailureType } from '../../contract/errors.js';
import { DIRTY } from './dirty.js';
import { CLI_FAILURES, FAILURES, type Explanation } from './failures.js';

/** What follows by itself. */
function after(code: FailureType): string {
  if (RETRYABLE.has(code)) return 'tried again';
  if (FATAL.has(code)) return 'the run ends';
  return 'the run parks';
}

export interface Entry extends Explanation {
  readonly code: string;
  readonly kind: 'failure' | 'reason' | 'command';
  /** What follows by itself; null: no run is concerned. */
  readonly follows: string | null;
}

/** Every code that people can meet. */
export function entries(): readonly Entry[] {
  return [
    ...Object.entries(FAILURES).map(([code, words]) => ({
      code,
      kind: 'failure' as const,
      follows: code === 'LossesGrown' ? 'the update is refused' : after(code as FailureType), // as: a key of the record
      ...words,
    })),
    ...Object.entries(DIRTY).map(([code, words]) => ({
      code,
      kind: 'reason' as const,
      follows: 'the database parks' as string | null,
      ...words,
    })),
    ...Object.entries(CLI_FAILURES).map(([code, words]) => ({
      code,
      kind: 'command' as const,
      follows: null,
      ...words,
    })),
  ];
}

/** docs/errors.md; `npm run docs` writes it, and a test compares. */
export function errorsPage(): string {
  const of = (kind: Entry['kind']) => entries().filter((entry) => entry.kind === kind);
  return `# Error codes

Every code that a run, a check or a command can name: what it means and what to do. \`pg-unwind explain <code>\` says the same.
Codes never change once released. This page is made from the source (\`npm run docs\`).

## Failures

The \`type\` of a failed activity in Temporal, \`failure\` of what is parked in the query \`status\`, \`code\` of the CLI's JSON errors.

${of('failure').map(chapter).join('\n\n')}

## Reasons of a dirty check

\`reasons[].code\` of a failure \`DirtyDatabase\`. [dirty.md](dirty.md) has the queries to look closer.

${of('reason').map(chapter).join('\n\n')}

## Of the command line only

${of('command').map(chapter).join('\n\n')}
`;
}

function chapter({ code, kind, follows, means, remedy }: Entry): string {
  const more = kind === 'reason' ? ` More: [dirty.md](dirty.md#${code.toLowerCase()}).` : '';
  return `### \`${code}\`\n\n${means}${follows === null ? '' : ` _Then: ${follows}._`}\n\nDo: ${remedy}${more}`;
}
