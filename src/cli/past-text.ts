import type { PastEntry } from '../instance/past.js';
import { durationText } from './bars.js';
import type { Terminal } from './terminal.js';

/** `2026-11-23 16:02:11.042`, UTC. */
export function momentText(iso: string): string {
  return iso.replace('T', ' ').replace('Z', '');
}

/** One entry, one line; behind a failure the server's own words, indented. */
export function entryText(entry: PastEntry, nameWidth: number, colors: Terminal['colors']): string {
  const place = (entry.database ?? 'all').padEnd(nameWidth);
  return `${colors.dim(momentText(entry.at))}  ${entry.run.slice(0, 8)}  ${place}  ${whatText(entry, colors)}`;
}

function whatText(entry: PastEntry, colors: Terminal['colors']): string {
  switch (entry.kind) {
    case 'planned':
      return `run planned ${entry.facts.direction} to ${entry.facts.target}, plan ${entry.facts.plan.slice(0, 12)}`;
    case 'claimed':
      return `run begun by ${entry.facts.workflowId} (namespace ${entry.facts.namespace})`;
    case 'ended':
      return `run ${entry.facts.state}`;
    case 'step':
      return stepText(entry, colors);
    case 'data':
      return dataText(entry, colors);
    case 'release':
      return colors.bold(`release ${entry.facts.release} reached`);
    case 'hook':
      return `hook ${entry.facts.hook} answered: ${entry.facts.answer}`;
    case 'decision':
      return colors.bold(decisionText(entry.facts));
    case 'failure': {
      const { migration, name, attempt, sqlstate, statement } = entry.facts;
      const part = statement === null ? '' : `, statement ${statement}`;
      const head = `step ${entry.seq} ${named(migration, name)} failed (attempt ${attempt}${part}): ${sqlstate ?? 'no SQLSTATE'}`;
      return [colors.red(head), ...wordsOf(entry.facts)].join('\n');
    }
    case 'dataFailure': {
      const { data, attempt, sqlstate, size } = entry.facts;
      const head = `data migration ${data} failed (attempt ${attempt}, batch of ${size}): ${sqlstate ?? 'no SQLSTATE'}`;
      return [colors.red(head), ...wordsOf(entry.facts)].join('\n');
    }
    case 'endedSession': {
      const { pid, application, user, client, policy, sessionState } = entry.facts;
      const who = [application, user, client].filter((part) => part !== null && part !== '').join(', ');
      return `step ${entry.seq}: session ${pid} was ended (${policy}): ${who}${sessionState === null ? '' : `, ${sessionState}`}`;
    }
    case 'restorePoint': {
      const { lsn, timeline, name } = entry.facts;
      return `restore point ${name ?? 'without a name'}: LSN ${lsn}, timeline ${timeline}`;
    }
    default:
      return entry satisfies never;
  }
}

type EntryOf<Kind> = Extract<PastEntry, { kind: Kind }>;

const HOW: Readonly<Record<string, string>> = {
  foundDone: 'found done',
  resumed: 'resumed',
  probed: 'probed',
  skipped: 'not run: an operator took it over',
};

function stepText({ seq, facts }: EntryOf<'step'>, colors: Terminal['colors']): string {
  const { migration, name, direction, state, attempt, how, ms, notices } = facts;
  const arrow = direction === 'down' ? '↓' : '↑';
  const head = `step ${seq} ${named(migration, name)} ${arrow}`;
  if (state !== 'done') {
    const what = state === 'started' ? 'begun, not ended' : 'begun, and settled by a person since';
    return `${head} ${colors.yellow(`${what} (attempt ${attempt})`)}`;
  }
  const more = [
    ...(ms === null ? [] : [durationOf(ms)]),
    ...(attempt > 1 ? [`attempt ${attempt}`] : []),
    ...(how !== null && HOW[how] !== undefined ? [HOW[how]] : []),
    ...(notices > 0 ? [notices === 1 ? '1 notice' : `${notices} notices`] : []),
  ];
  return `${head} done${more.length === 0 ? '' : `, ${more.join(', ')}`}`;
}

function dataText({ facts }: EntryOf<'data'>, colors: Terminal['colors']): string {
  const { data, act, state, attempt, rows, batches, ms } = facts;
  const head = `data migration ${data} ${act}`;
  const moved = `${rows.toLocaleString('en')} rows in ${batches === 1 ? '1 batch' : `${batches} batches`}`;
  if (state === 'started') return `${head} ${colors.yellow(`begun, not ended (attempt ${attempt}), ${moved}`)}`;
  return `${head} done, ${moved}${ms === null ? '' : `, ${durationOf(ms)}`}${attempt > 1 ? `, attempt ${attempt}` : ''}`;
}

export function decisionText({
  decision,
  by,
  why,
}: {
  decision: string;
  by: string | null;
  why: string | null;
}): string {
  return `decided: ${decision}${by === null ? '' : ` by ${by}`}${why === null ? '' : `: ${why}`}`;
}

function wordsOf({ message, detail }: { message: string; detail: string | null }): string[] {
  return [message, ...(detail === null ? [] : [detail])]
    .flatMap((text) => text.split('\n'))
    .map((line) => `    ${line}`);
}

function named(migration: string | null, name: string | null): string {
  return [migration, name].filter((part) => part !== null).join(' ');
}

function durationOf(ms: number): string {
  return ms < 1_000 ? `${ms} ms` : durationText(ms);
}
