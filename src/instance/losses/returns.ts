import type { ReturnsEmpty } from '../../contract/losses.js';
import type { ScriptFacts } from '../../contract/script.js';
import type { PlacedStep } from '../../plan/report.js';

/** What a script makes; undefined: nobody knows its facts. */
export type MakesOf = (sha256: string) => ScriptFacts['makes'];

/** On the way down a table or column that a step makes is one that the ups have dropped: it comes back without its content. */
export function returnsEmpty(steps: readonly PlacedStep[], makesOf: MakesOf): ReturnsEmpty[] {
  return steps.flatMap(({ leg, database, step: { seq, migration, name, script } }) =>
    (makesOf(script) ?? []).map(({ kind, object }) => ({ leg, database, seq, migration, name, kind, object })),
  );
}
