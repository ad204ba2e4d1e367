import { redact } from '../config/secrets.js';
import { ExitCode, FATAL, FailureType, UnwindError } from '../contract/errors.js';

/** Failures that only the shell command knows; beside FailureType, the `code` of `--json` errors. */
export const CliFailure = {
  /** The words typed are not a command line. */
  Usage: 'Usage',
  /** A run of this instance is open; its id is the lock. */
  AlreadyRunning: 'AlreadyRunning',
  /** Temporal knows no run of this instance. */
  NoRun: 'NoRun',
  /** Nothing polls the task queue, so nobody can answer. */
  NoWorker: 'NoWorker',
  /** The workflow's validator refused the update: nothing was changed. */
  UpdateRefused: 'UpdateRefused',
  /** The run ended by a cancel, a terminate or a timeout of the workflow. */
  RunStopped: 'RunStopped',
  Unexpected: 'Unexpected',
} as const;
export type CliFailure = (typeof CliFailure)[keyof typeof CliFailure];

const EXIT_OF: Readonly<Record<CliFailure, number>> = {
  Usage: ExitCode.invalidInput,
  AlreadyRunning: ExitCode.invalidInput,
  NoRun: ExitCode.invalidInput,
  NoWorker: ExitCode.needsOperator,
  UpdateRefused: ExitCode.invalidInput,
  RunStopped: ExitCode.aborted,
  Unexpected: ExitCode.unexpected,
};

/** A failure of the command itself, in words: what was found, what it means, what to do. */
export class CommandError extends Error {
  readonly code: CliFailure;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: CliFailure,
    message: string,
    options: { details?: Readonly<Record<string, unknown>>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = code;
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** The task queue that a run was started on, and that of the configuration: a start by hand can misspell it. */
export interface RunQueue {
  readonly own: string;
  readonly configured: string;
}

/** @param words - Which run, as in a message: `acme-eu`. */
export function noWorker(words: string, workflowId: string, queue: RunQueue, cause?: unknown): CommandError {
  return new CommandError(
    CliFailure.NoWorker,
    `No worker answers for ${words} on the task queue "${queue.own}". The run is safe and waits for one. ${workerFor(queue, workflowId)}`,
    { details: { workflowId, taskQueue: queue.own }, ...(cause === undefined ? {} : { cause }) },
  );
}

/** What to do where nobody answers. */
export function workerFor({ own, configured }: RunQueue, workflowId: string): string {
  if (own === configured) return 'Start one with "pg-unwind worker".';
  return (
    `It was started on that queue, and pg-unwind.yaml has "${configured}": workers of the one do not see the other. ` +
    `Start a worker with temporal.taskQueue "${own}"; or, if that was a slip, end the run with ` +
    `"temporal workflow terminate --workflow-id ${workflowId}" and start it again.`
  );
}

/** What is printed of a failure; the shape under `error` with `--json`. */
export interface FailureReport {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/**
 * 2 for what cannot be done as asked (the workflow would fail at once too), 3 for what a person must look at in a database,
 * 1 for everything that has no name.
 */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommandError) return EXIT_OF[error.code];
  if (error instanceof UnwindError) return exitCodeOfType(error.type);
  return ExitCode.unexpected;
}

export function exitCodeOfType(type: FailureType): number {
  if (type === FailureType.Unexpected) return ExitCode.unexpected;
  return FATAL.has(type) ? ExitCode.invalidInput : ExitCode.needsOperator;
}

export function isFailureType(value: unknown): value is FailureType {
  return typeof value === 'string' && Object.hasOwn(FailureType, value);
}

export function reportOf(error: unknown): FailureReport {
  if (error instanceof CommandError) {
    return { code: error.code, message: redact(error.message), details: error.details };
  }
  if (error instanceof UnwindError) {
    return { code: error.type, message: redact(error.message), details: error.details };
  }
  const message = error instanceof Error ? error.message || error.name : String(error);
  return { code: CliFailure.Unexpected, message: redact(message), details: {} };
}

/**
 * What a person reads: the message, the lists that `details` carries one a line, and where to look further. Named failures
 * bring their own "what to do"; an unexpected one says what the next step is.
 */
export function formatFailure(error: unknown, debug: boolean): string {
  const report = reportOf(error);
  const lines = [`error: ${report.message}`, ...detailLines(report)];
  if (report.code === CliFailure.Unexpected && !debug) {
    lines.push('This failure has no name in pg-unwind. Run the command again with --log debug for the stack.');
  }
  if (debug) lines.push(...stackLines(error));
  return lines.join('\n');
}

const LIST_LIMIT = 50;

/** Lists of problems and reasons that the message does not have already; everything else in `details` is for programs. */
function detailLines({ message, details }: FailureReport): string[] {
  const lines: string[] = [];
  for (const value of Object.values(details)) {
    if (!Array.isArray(value)) continue;
    const texts = value
      .filter((item) => !isIn(message, item))
      .map(detailText)
      .filter((text) => text !== null);
    for (const text of texts.slice(0, LIST_LIMIT)) lines.push(`  - ${redact(text)}`);
    if (texts.length > LIST_LIMIT) lines.push(`  … and ${texts.length - LIST_LIMIT} more (--json prints all)`);
  }
  return lines;
}

function isIn(message: string, item: unknown): boolean {
  if (typeof item !== 'object' || item === null) return false;
  const { evidence, message: text } = item as Record<string, unknown>; // plain JSON by UnwindError's contract
  const said = typeof evidence === 'string' ? evidence : text;
  return typeof said === 'string' && message.includes(said);
}

function detailText(item: unknown): string | null {
  if (typeof item !== 'object' || item === null) return null; // names and ids: the message has them in words
  const fields = item as Record<string, unknown>; // plain JSON by UnwindError's contract
  if (typeof fields['evidence'] === 'string') return reasonText(fields);
  if (typeof fields['message'] === 'string') {
    const place = [fields['file'], fields['rule']].filter((part) => typeof part === 'string').join(' ');
    return place === '' ? fields['message'] : `${place}: ${fields['message']}`;
  }
  return null;
}

function reasonText(fields: Record<string, unknown>): string {
  const remedy =
    typeof fields['remedy'] === 'string' && fields['remedy'] !== '' ? ` What to do: ${fields['remedy']}` : '';
  return `${String(fields['database'])} ${String(fields['code'])}: ${String(fields['evidence'])}${remedy}`;
}

function stackLines(error: unknown): string[] {
  const lines: string[] = [];
  for (
    let current: unknown = error, depth = 0;
    current instanceof Error && depth < 5;
    current = current.cause, depth++
  ) {
    lines.push(`${depth === 0 ? '' : 'caused by '}${redact(current.stack ?? current.message)}`);
  }
  return lines;
}
