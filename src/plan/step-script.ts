import { newestText, textAt } from '../catalog/releases.js';
import type { Catalog, CatalogMigration, DatabaseName } from '../contract/catalog.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { Direction } from '../contract/plan.js';
import type { ScriptFacts } from '../contract/script.js';

/** A step that the engine will not run, and why. */
export interface RefusedStep {
  readonly database: DatabaseName;
  readonly migration: string;
  readonly name: string;
  readonly reason: string;
}

/**
 * The text that a step runs. Down: the newest, since publishers repair broken downs in later releases. Up: the one that the
 * target release carries; where its files have none (squashed away), the newest of the migration's own.
 * Null when the migration has no text in this direction.
 */
export function stepScript(
  catalog: Catalog,
  migration: CatalogMigration,
  direction: Direction,
  targetLabel: number,
): ScriptFacts | null {
  if (migration[direction].length === 0) return null;
  const text = direction === 'down' ? newestText(migration, direction) : textAt(migration, direction, targetLabel);
  const facts = catalog.scripts[text.sha256];
  if (facts === undefined) {
    throw new UnwindError(
      FailureType.InvalidCatalog,
      `The catalog of "${catalog.product}" does not describe script ${text.sha256} (${direction} of ${migration.id}). ` +
        'Nothing was changed. Build the catalog again ("pg-unwind catalog build").',
      { details: { migration: migration.id, direction, sha256: text.sha256 } },
    );
  }
  return facts;
}

/** @throws {UnwindError} ScriptRefused: lists every step of the plan that cannot run. */
export function expectRunnable(refused: readonly RefusedStep[], direction: Direction): void {
  if (refused.length === 0) return;
  const lines = refused.map(({ database, migration, name, reason }) => `${database} ${migration} ${name}: ${reason}`);
  throw new UnwindError(
    FailureType.ScriptRefused,
    `${refused.length} ${direction} ${refused.length === 1 ? 'script' : 'scripts'} of this plan cannot be run:\n` +
      `${lines.join('\n')}\n` +
      'Nothing was changed. Correct these texts in the source of the catalog and build it again ("pg-unwind catalog build"), ' +
      'or choose a target that does not need them.',
    { details: { direction, refused } },
  );
}
