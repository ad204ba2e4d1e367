import { handlerAt, newestHandler } from '../catalog/releases.js';
import type { CatalogDataMigration } from '../contract/catalog.js';
import type { PlannedDataStep, PlanWarning } from '../contract/plan.js';
import { scheduleData, type DataWindow, type Position } from '../data/schedule.js';
import { expectWindows } from './data-windows.js';
import { labelPositions, startPosition, stopPosition, type ReleaseWay } from './release-way.js';
import { dataWarnings } from './warnings.js';

export interface DataOfWay {
  /** What runs on the schema of the start, before the first schema step. */
  readonly atStart: readonly PlannedDataStep[];
  /** One list for each of the way's stops. */
  readonly atStops: readonly (readonly PlannedDataStep[])[];
  /** In the order of the steps. */
  readonly warnings: readonly PlanWarning[];
}

interface Candidate {
  readonly migration: CatalogDataMigration;
  readonly window: DataWindow;
  readonly act: PlannedDataStep['act'];
}

/**
 * Where on the way each data migration runs. Those of databases that the instance does not have are left out.
 * @throws {UnwindError} TargetNotReachable: names every data migration in whose window no stop of the way lies.
 */
export function dataOfWay(way: ReleaseWay): DataOfWay {
  const candidates = way.stops.length === 0 ? [] : candidatesOf(way);
  const placed = placeAll(way, candidates);
  const warnings: PlanWarning[] = [];
  const stepsAt = (at: Position) =>
    inOrderOfRun(
      way,
      candidates.filter((each) => placed.get(each) === at),
    ).map((each) => {
      const step = dataStep(way, each);
      warnings.push(...dataWarnings(step, at === each.window.deprecated));
      return step;
    });
  const atStart = stepsAt(startPosition(way));
  const atStops = way.stops.map((_, index) => stepsAt(stopPosition(way, index)));
  return { atStart, atStops, warnings };
}

function candidatesOf(way: ReleaseWay): Candidate[] {
  const { catalog, direction, databases } = way;
  const position = labelPositions(way);
  const back = { reversible: 'reverse', notNeeded: 'leave', irreversible: 'lose' } as const;
  return (catalog.dataMigrations ?? [])
    .filter(({ database }) => databases.some(({ name }) => name === database))
    .map((migration) => ({
      migration,
      window: {
        id: migration.id,
        introduced: position(migration.introduced),
        deprecated: migration.deprecated === null ? Infinity : position(migration.deprecated),
      },
      act: direction === 'up' ? 'forward' : back[migration.reversal],
    }));
}

/** The position at which each that takes part is in the plan. */
function placeAll(way: ReleaseWay, candidates: readonly Candidate[]): Map<Candidate, Position> {
  const { direction, stops: ends, standing } = way;
  const from = startPosition(way);
  const { stops, unsatisfied } = scheduleData(
    {
      direction,
      from,
      to: direction === 'up' ? ends.length : 0,
      stopsAtStart: standing !== null, // a leg ends at a release; between two there is none to record, or to check against
    },
    candidates.map(({ window }) => window),
  );
  const scheduled = new Map(stops.flatMap(({ at, ids }) => ids.map((id) => [id, at] as const)));
  const placed = new Map<Candidate, Position>();
  const impossible: CatalogDataMigration[] = [];
  for (const each of candidates) {
    const at = scheduled.get(each.window.id) ?? (isOfStart(way, each) ? from : undefined);
    if (at === undefined && !unsatisfied.includes(each.window.id)) continue;
    // Where nothing runs, no schema has to fit, and no leg is made for it: it is said where the way leaves the window.
    if (each.act === 'leave' || each.act === 'lose') {
      placed.set(each, Math.min(at ?? Math.floor(each.window.introduced), from - 1));
    } else if (at === undefined) impossible.push(each.migration);
    else placed.set(each, at);
  }
  expectWindows(way, impossible);
  return placed;
}

/**
 * Down: the schedule's rules leave out what the very release of the start introduced. But an instance that stands there may have
 * run it in the background, and no release below can read that. So it is undone first, on the schema of the start, and draws no
 * other data migration to that stop. What is introduced above the start was never run: the instance does not stand there.
 */
function isOfStart(way: ReleaseWay, { window }: Candidate): boolean {
  return way.direction === 'down' && way.standing !== null && window.introduced === startPosition(way);
}

/**
 * Database by database; forward as they were introduced, since a later one may build on rows that an earlier one has written;
 * back in exactly the reverse order. The catalog's order, by id, decides between equals.
 */
function inOrderOfRun({ direction, databases }: ReleaseWay, candidates: readonly Candidate[]): Candidate[] {
  const forward = candidates.toSorted((a, b) => a.window.introduced - b.window.introduced); // all finite: they are on the way
  const ordered = direction === 'up' ? forward : forward.reverse();
  return databases.flatMap(({ name }) => ordered.filter(({ migration }) => migration.database === name));
}

/** Down runs the newest definition, since publishers repair them in later releases; up that of the target. */
function dataStep({ direction, stops }: ReleaseWay, { migration, act }: Candidate): PlannedDataStep {
  return {
    id: migration.id,
    database: migration.database,
    description: migration.description,
    direction: direction === 'up' ? 'forward' : 'reverse',
    introduced: migration.introduced,
    deprecated: migration.deprecated,
    act,
    handler: direction === 'up' ? handlerAt(migration, stops.at(-1)!.labelIndex) : newestHandler(migration),
    estimatedRows: migration.estimatedRows,
  };
}
