import type { CatalogDataMigration } from '../contract/catalog.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import { isWithin, type KnownRelease } from './known-releases.js';
import type { ReleaseWay } from './release-way.js';
import { dataStepLabel, windowText } from './report.js';

/** @throws {UnwindError} TargetNotReachable: these data migrations take part in the way, and could run at none of its stops. */
export function expectWindows(way: ReleaseWay, impossible: readonly CatalogDataMigration[]): void {
  if (impossible.length === 0) return;
  const { direction, standing } = way;
  const target = way.stops.at(-1)!.label;
  const stops = way.stops.map(({ label }) => label);
  const one = impossible.length === 1;
  const lines = impossible.map((migration) => `${dataStepLabel(migration)}: ${windowText(migration)}`);
  throw new UnwindError(
    FailureType.TargetNotReachable,
    `"${target}" cannot be reached by going ${direction}: the way stops at no release on whose schema ` +
      `${one ? 'this data migration' : `these ${impossible.length} data migrations`} can run, and without ${one ? 'it' : 'them'} ` +
      `rows would stay in a form that "${target}" ${direction === 'down' ? 'cannot read' : 'can no longer read'}:\n` +
      `${lines.join('\n')}\n` +
      `The stops are: ${stops.join(', ')}. Nothing was changed. ` +
      (standing === null ? toReleaseFirst(way) : '') +
      `Choose a target for which ${one ? 'it need' : 'they need'} not run; or, where a stop can run ${one ? 'it' : 'them'}, ` +
      'correct "introduced" or "deprecated" in data-migrations.yaml and build the catalog again ("pg-unwind catalog build").',
    {
      details: {
        direction,
        release: target,
        dataMigrations: impossible.map(({ id, database, introduced, deprecated }) => ({
          id,
          database,
          introduced,
          deprecated,
        })),
        stops,
      },
    },
  );
}

/** Between releases the start is no stop; the release behind it would be one. */
function toReleaseFirst(way: ReleaseWay): string {
  const release = nearestBehind(way);
  if (release === undefined) return '';
  const verb = way.direction === 'down' ? 'upgrade' : 'downgrade';
  return `The instance stands between releases: take it to "${release.label}" ("pg-unwind ${verb}") and plan again from there. Or: `;
}

/** `releases` stand largest first. */
function nearestBehind({ direction, releases, applied }: ReleaseWay): KnownRelease | undefined {
  return direction === 'down'
    ? releases.findLast(({ sets }) => isWithin(applied, sets))
    : releases.find(({ sets }) => isWithin(sets, applied));
}
