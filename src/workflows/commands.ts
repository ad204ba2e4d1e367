import { movesOf, type Move } from './moves.js';
import type { Progress } from './progress.js';

/** What a person may type now, each in one line that the command line of Temporal takes as it is; the likeliest first. */
export function commandsOf(progress: Progress): string[] {
  return movesOf(progress).map((move) => commandOf(progress, move));
}

function commandOf({ owner }: Progress, { name, input }: Move): string {
  const { namespace, workflowId } = owner;
  return [
    'temporal workflow update execute',
    ...(namespace === 'default' ? [] : [`--namespace ${shellWord(namespace)}`]),
    `--workflow-id ${shellWord(workflowId)}`,
    `--name ${name}`,
    ...(Object.keys(input).length > 0 ? [`--input ${shellWord(JSON.stringify(input))}`] : []),
  ].join(' ');
}

export function shellWord(text: string): string {
  return /^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
