import type { Direction } from './plan.js';

/** The one task queue unless the configuration names another. */
export const TASK_QUEUE = 'pg-unwind';

export const WorkflowType = { downgrade: 'downgrade', upgrade: 'upgrade', dataMigration: 'dataMigration' } as const;
export type WorkflowType = (typeof WorkflowType)[keyof typeof WorkflowType];

const WORKFLOW_PREFIX = 'unwind/';

/** `unwind/<instance>`: the same for the CLI, the Web UI and the fleet, so the id is the lock of the instance. */
export function workflowIdOf(instance: string): string {
  return WORKFLOW_PREFIX + instance;
}

/** The inverse of `workflowIdOf`; null for an id of another shape, that of a data migration among them. */
export function instanceOf(workflowId: string): string | null {
  const [, instance] = /^unwind\/([^/]+)$/.exec(workflowId) ?? [];
  return instance ?? null;
}

/** `unwind/<instance>/data/<id>`: one run at a time of each data migration. Neither name has a slash. */
export function dataWorkflowIdOf(instance: string, id: string): string {
  return `${workflowIdOf(instance)}/data/${id}`;
}

/** `frontend-0042-down`: what `temporal activity pause --activity-id` takes. Unique among the pending ones of a run. */
export function stepActivityId(database: string, seq: number, direction: Direction): string {
  return `${database}-${String(seq).padStart(4, '0')}-${direction}`;
}

/** `frontend-data-7-reverse`. Unique among the pending ones of a run. */
export function dataActivityId(database: string, id: string, act: string): string {
  return `${database}-data-${id}-${act}`;
}

const MOST_SUMMARY_BYTES = 200;

/**
 * Temporal takes 400 bytes of a summary by default, and refuses the whole workflow task for one that is longer; encryption adds some
 * hundred.
 */
export function cutSummary(text: string): string {
  let bytes = 0;
  let end = 0;
  let fits = '';
  for (const character of text) {
    bytes += utf8Bytes(character);
    if (bytes > MOST_SUMMARY_BYTES) return `${fits}…`;
    end += character.length;
    if (bytes <= MOST_SUMMARY_BYTES - utf8Bytes('…')) fits = text.slice(0, end);
  }
  return text;
}

function utf8Bytes(character: string): number {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  return code < 0x10000 ? 3 : 4;
}

/** `frontend data migration 7 reverse: Encrypts the e-mail addresses`. */
export function dataSummary(database: string, id: string, act: string, description: string): string {
  return cutSummary(`${database} data migration ${id} ${act}: ${description}`);
}

/** `hook-atStop-v5.9.0`, `hook-before`. */
export function hookActivityId(hook: string, release: string | null): string {
  return release === null || hook !== 'atStop' ? `hook-${hook}` : `hook-${hook}-${release}`;
}

/** `hooks.atStop (webhook) at v5.9.0, stop 1 of 3`. */
export function hookSummary(hook: string, kind: string, release: string | null, stop: string): string {
  return cutSummary(
    `hooks.${hook} (${kind})${release === null ? '' : ` at ${release}`}${stop === '' ? '' : `, ${stop}`}`,
  );
}

/** `notify-3-parked`. */
export function noticeActivityId(number: number, event: string): string {
  return `notify-${number}-${event}`;
}

/** `hooks.notify (webhook): parked`. */
export function noticeSummary(kind: string, event: string): string {
  return `hooks.notify (${kind}): ${event}`;
}

/** `frontend 1771010057 deepsearch_question_jobs ↓`: the arrow stays, however long the name is. */
export function stepSummary(database: string, migration: string, name: string, direction: Direction): string {
  const arrow = direction === 'down' ? '↓' : '↑';
  return `${cutSummary(`${database} ${migration} ${name}`)} ${arrow}`;
}
