import { compareLabels, parseVersion } from '../catalog/version.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { Via } from '../contract/input.js';
import type { Plan, PlannedLeg } from '../contract/plan.js';

/**
 * Legs (0-based) after which a run waits, so that the application can follow. The last is never among them: there the run ends.
 * `every-minor`: one release of each minor on the way, the one with the highest version.
 * @throws {UnwindError} InvalidInput: a release that no leg of the plan leads to.
 */
export function stopsOf(plan: Plan, via: Via | undefined): readonly number[] {
  if (via === undefined) return [];
  const passed = plan.legs.slice(0, -1);
  if (via === 'every-release') return passed.map((_, at) => at);
  if (via === 'every-minor') return highestOfEachMinor(plan);
  const wanted = via.map((label) => ({ label, at: plan.legs.findIndex((leg) => namesOf(leg).includes(bare(label))) }));
  const unknown = wanted.filter(({ at }) => at === -1).map(({ label }) => label);
  if (unknown.length > 0) {
    throw new UnwindError(
      FailureType.InvalidInput,
      `"via" names ${unknown.map((label) => `"${label}"`).join(', ')}, which this way does not pass. Nothing was changed. ` +
        (passed.length > 0
          ? `It passes: ${passed.map(({ release }) => release).join(', ')}.`
          : 'It passes no release before its target.'),
      { details: { unknown, passes: passed.map(({ release }) => release) } },
    );
  }
  return [...new Set(wanted.map(({ at }) => at))].filter((at) => at < passed.length).sort((one, other) => one - other);
}

const bare = (label: string) => label.replace(/^v/, '');
const namesOf = (leg: PlannedLeg) => [leg.release, ...leg.aliases].map(bare);

function highestOfEachMinor({ legs }: Plan): number[] {
  const last = legs.length - 1;
  const minorOf = (at: number) => {
    const version = parseVersion((legs[at] as PlannedLeg).release);
    return version === null ? `${at}` : `${version.major}.${version.minor}`;
  };
  const highest = new Map<string, number>();
  for (const at of legs.keys()) {
    const minor = minorOf(at);
    const best = highest.get(minor);
    const higher =
      best === undefined || compareLabels((legs[at] as PlannedLeg).release, (legs[best] as PlannedLeg).release) > 0;
    if (higher) highest.set(minor, at);
  }
  // At the target's own minor the run ends, whichever of its releases is the highest.
  highest.delete(minorOf(last));
  return [...highest.values()].sort((one, other) => one - other);
}
