import { legText, stateText } from '../progress.js';
import type { ShownStatus } from '../data-figures.js';

export interface Happening {
  /** ISO 8601 */
  readonly at: string;
  readonly text: string;
}

/** What has changed between two looks at a run; of the first look, what the run itself remembers. */
export function happened(before: ShownStatus | null, after: ShownStatus, at: string): Happening[] {
  const texts: Happening[] = [];
  const say = (text: string, when = at) => texts.push({ at: when, text });
  for (const { at: when, kind, by, why } of after.decisions.slice(before?.decisions.length ?? 0)) {
    say(`decided: ${kind}${by === null ? '' : ` by ${by}`}${why === null ? '' : `: ${why}`}`, when);
  }
  for (const each of after.parked) {
    if (before?.parked.some(({ since, database }) => since === each.since && database === each.database) === true)
      continue;
    const where = [each.database ?? 'the instance', each.migration].filter((part) => part !== null).join(' ');
    say(`${where} parked: ${each.failure} during ${each.during}`, each.since);
  }
  if (before === null) return texts;
  for (const [database, now] of Object.entries(after.databases)) {
    const then = before.databases[database];
    if (then === undefined || now.done <= then.done) continue;
    const { current } = then;
    const one = now.done === then.done + 1 && current !== null && current.seq !== now.current?.seq;
    say(`${database} ${one ? `${current.migration} ${current.name} done` : `${now.done} of ${now.total} steps done`}`);
  }
  for (const each of after.data) {
    const then = before.data.find(({ activityId }) => activityId === each.activityId);
    if (then?.done === false && each.done) say(`${each.database} data migration ${each.id} done`);
  }
  if (after.leg !== before.leg && legText(after) !== '') say(legText(after));
  if (after.state !== before.state) say(stateText(after));
  for (const text of after.warnings.slice(before.warnings.length)) say(`warning: ${text}`);
  return texts;
}
