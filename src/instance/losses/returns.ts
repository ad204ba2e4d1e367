import type { ReturnsEmpty } from '../../contract/losses.js';
import type { Destruction, ScriptFacts } from '../../contract/script.js';
import type { PlacedStep } from '../../plan/report.js';

/** What a script makes; undefined: nobody knows its facts. */
export type MakesOf = (sha256: string) => ScriptFacts['makes'];

/**
 * On the way down a table or column that a step makes is one that the ups have dropped: it comes back without its content. What a
 * later step of the same way takes again comes back for nobody, and is left out.
 */
export function returnsEmpty(steps: readonly PlacedStep[], makesOf: MakesOf): ReturnsEmpty[] {
  const goesLater = new Set<string>();
  const all: ReturnsEmpty[] = [];
  for (const { leg, database, step } of steps.toReversed()) {
    const { seq, migration, name, script, destroys } = step;
    for (const { kind, object } of makesOf(script) ?? []) {
      const gone = [object, kind === 'column' ? tableOf(object) : object].some((part) =>
        goesLater.has(`${database} ${bare(part)}`),
      );
      if (!gone) all.push({ leg, database, seq, migration, name, kind, object });
    }
    destroys.filter(isDrop).forEach(({ object }) => goesLater.add(`${database} ${bare(object)}`));
  }
  return all.toReversed();
}

const isDrop = ({ kind }: Destruction) => kind === 'table' || kind === 'column';
const tableOf = (column: string) => column.slice(0, column.lastIndexOf('.'));
const bare = (object: string) => object.replace(/^public\./, '');
