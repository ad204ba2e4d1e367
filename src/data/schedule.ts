import type { DataMigrationId } from '../contract/catalog.js';
import type { Direction } from '../contract/plan.js';

/**
 * A place in the order of the releases, ascending. The places where a plan can stop are whole numbers; what lies between two
 * of them has a position between theirs, and what lies beyond all of them is infinite.
 */
export type Position = number;

/** The releases on whose schema a data migration can run: both ends included. */
export interface DataWindow {
  readonly id: DataMigrationId;
  readonly introduced: Position;
  /** `Infinity`: never. */
  readonly deprecated: Position;
}

export interface Way {
  readonly direction: Direction;
  readonly from: Position;
  readonly to: Position;
  /** May it stop where it begins? Not where the instance stands between releases. */
  readonly stopsAtStart: boolean;
}

export interface DataStop {
  readonly at: Position;
  /** In the order in which the windows were given. */
  readonly ids: readonly DataMigrationId[];
}

export interface DataSchedule {
  /** In travel order; each has at least one id. */
  readonly stops: readonly DataStop[];
  /** They take part, but no stop of the way lies in their window. In the order in which the windows were given. */
  readonly unsatisfied: readonly DataMigrationId[];
}

interface Placed {
  readonly window: DataWindow;
  /** Where it would stop if it were alone. */
  readonly own: Position;
}

/**
 * At which stops of a way its data migrations run: together where their windows allow it, and each as late on the way as the
 * stops allow, so that as much as possible is done before a row that cannot be carried over needs a person.
 * The rules are those of Sourcegraph's own scheduler (reference sourcegraph-migrator.md §5), but for two: `Infinity`, with which
 * it fails on the way down; and on the way up it would take a neighbour's stop at `deprecated` itself, where the schema may
 * already lack what the rows are to be made from. We do that only where no stop of the way lies before it.
 * Which windows are given in which order changes nothing but the order of ids within a stop.
 */
export function scheduleData(way: Way, windows: readonly DataWindow[]): DataSchedule {
  const takingPart = windows.filter((window) => takesPart(way, window));
  const alone = takingPart.map((window) => ({ window, own: ownStop(way, window) }));
  const placed = alone.filter((each): each is Placed => each.own !== null);
  const stops = way.direction === 'up' ? stopsUp(placed) : stopsDown(placed);
  const ids = new Map(stops.map((stop) => [stop, [] as DataMigrationId[]]));
  for (const { window } of placed) ids.get(lastWithin(way, stops, window))!.push(window.id);
  return {
    stops: stops.map((at) => ({ at, ids: ids.get(at)! })).filter((stop) => stop.ids.length > 0),
    unsatisfied: alone.filter(({ own }) => own === null).map(({ window }) => window.id),
  };
}

/**
 * Up: what the target calls deprecated and the start does not must be finished before the schema is the target's.
 * Down: what the target does not know must be undone. What the target itself introduces counts too: labels with the same
 * schema are one position, so the instance may become an earlier one that does not know it. But what the target already calls
 * deprecated is in the newer form there for good.
 */
function takesPart({ direction, from, to }: Way, { introduced, deprecated }: DataWindow): boolean {
  return direction === 'up'
    ? from < deprecated && deprecated <= to
    : to <= introduced && introduced < from && to < deprecated;
}

/**
 * Up: the last stop before `deprecated`; where none is left there, `deprecated` itself, which the window includes.
 * Down: the first release, from below, that knows the data migration. Null: no stop of the way lies in the window.
 */
function ownStop(way: Way, { introduced, deprecated }: DataWindow): Position | null {
  const candidates =
    way.direction === 'up' ? [Math.ceil(deprecated) - 1, Math.floor(deprecated)] : [Math.ceil(introduced)];
  return candidates.find((at) => canStop(way, at) && introduced <= at && at <= deprecated) ?? null;
}

function canStop({ from, to, stopsAtStart }: Way, at: Position): boolean {
  return Math.min(from, to) <= at && at <= Math.max(from, to) && (stopsAtStart || at !== from);
}

function stopsUp(placed: readonly Placed[]): Position[] {
  const stops: Position[] = [];
  const byEnd = placed.toSorted((a, b) => a.window.deprecated - b.window.deprecated || a.own - b.own);
  for (const { window, own } of byEnd) {
    const last = stops.at(-1);
    if (last === undefined || last < window.introduced) stops.push(own);
  }
  return stops;
}

function stopsDown(placed: readonly Placed[]): Position[] {
  const stops: Position[] = [];
  for (const { window, own } of placed.toSorted((a, b) => b.window.introduced - a.window.introduced)) {
    const last = stops.at(-1);
    if (last === undefined || (window.deprecated <= last && own !== last)) stops.push(own);
  }
  return stops;
}

/** There is one: whichever stop was last when the window's turn came lies in it, or its own was added. */
function lastWithin({ direction }: Way, stops: readonly Position[], { introduced, deprecated }: DataWindow): Position {
  const within = stops.filter((at) => introduced <= at && at <= deprecated);
  const before = direction === 'up' ? within.filter((at) => at < deprecated) : within;
  return (before.at(-1) ?? within.at(-1))!;
}
