import type { CatalogDatabase, DatabaseName, MigrationId } from '../contract/catalog.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { Direction } from '../contract/plan.js';
import { isSame, isWithin, type IdSets, type KnownRelease } from './known-releases.js';

const IDS_SHOWN = 10;
const RELEASES_SHOWN = 3;

/** Per database, in catalog order, the ids of `these` that are not in `those`; databases without any are left out. */
function difference(
  databases: readonly CatalogDatabase[],
  these: IdSets,
  those: IdSets,
): Record<DatabaseName, MigrationId[]> {
  const found: Record<DatabaseName, MigrationId[]> = {};
  for (const { name, migrations } of databases) {
    const ids = migrations.map(({ id }) => id).filter((id) => these.get(name)!.has(id) && !those.get(name)!.has(id));
    if (ids.length > 0) found[name] = ids;
  }
  return found;
}

function count(ids: Readonly<Record<DatabaseName, readonly MigrationId[]>>): number {
  return Object.values(ids).reduce((sum, list) => sum + list.length, 0);
}

function listed(ids: Readonly<Record<DatabaseName, readonly MigrationId[]>>): string {
  return Object.entries(ids)
    .map(([database, all]) => {
      const more = all.length > IDS_SHOWN ? ` and ${all.length - IDS_SHOWN} more` : '';
      return `"${database}" ${all.length} (${all.slice(0, IDS_SHOWN).join(', ')}${more})`;
    })
    .join(', ');
}

/** Other releases that the direction does lead to, those first that differ least from the target. */
function reachableReleases(
  databases: readonly CatalogDatabase[],
  releases: readonly KnownRelease[],
  applied: IdSets,
  target: KnownRelease,
  direction: Direction,
): string[] {
  return releases
    .filter(({ sets }) => !isSame(sets, applied))
    .filter(({ sets }) => (direction === 'down' ? isWithin(sets, applied) : isWithin(applied, sets)))
    .map(({ label, sets }) => ({
      label,
      distance: count(difference(databases, sets, target.sets)) + count(difference(databases, target.sets, sets)),
    }))
    .toSorted((a, b) => a.distance - b.distance)
    .slice(0, RELEASES_SHOWN)
    .map(({ label }) => label);
}

/**
 * A plan only removes (down) or only adds (up): the target's sets must lie within the applied ones, or around them.
 * @throws {UnwindError} TargetNotReachable: names per database the ids in the way, and where one can go instead.
 */
export function expectReachable(
  databases: readonly CatalogDatabase[],
  releases: readonly KnownRelease[],
  applied: IdSets,
  target: KnownRelease,
  direction: Direction,
): void {
  const missing = difference(databases, target.sets, applied);
  const surplus = difference(databases, applied, target.sets);
  const inTheWay = direction === 'down' ? missing : surplus;
  if (count(inTheWay) === 0) return;
  const otherWay = count(direction === 'down' ? surplus : missing) === 0;
  const instead = direction === 'down' ? 'upgrade' : 'downgrade';
  const reachable = reachableReleases(databases, releases, applied, target, direction);
  const why =
    direction === 'down'
      ? `a downgrade only undoes migrations, and of this release the instance lacks, in ${listed(missing)}`
      : `an upgrade only applies migrations, and the instance has some that this release does not know, in ${listed(surplus)}`;
  const next = [
    otherWay ? `To go to "${target.label}", run the ${instead} instead ("pg-unwind ${instead}").` : null,
    reachable.length > 0
      ? `Nearest releases that ${direction === 'down' ? 'a downgrade' : 'an upgrade'} reaches: ${reachable.join(', ')}.`
      : `No other release of the catalog can be reached by going ${direction}.`,
  ];
  throw new UnwindError(
    FailureType.TargetNotReachable,
    `"${target.label}" cannot be reached by going ${direction}: ${why}. Nothing was changed. ` +
      next.filter((sentence) => sentence !== null).join(' '),
    { details: { direction, release: target.label, missing, surplus, instead: otherWay ? instead : null, reachable } },
  );
}
