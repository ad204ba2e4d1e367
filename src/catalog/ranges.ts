/** A set of small integers as closed ranges `[first, last]`, ascending: how the catalog writes labels and migrations. */
export type Ranges = readonly (readonly [number, number])[];

export function toRanges(numbers: Iterable<number>): [number, number][] {
  const ranges: [number, number][] = [];
  for (const n of [...new Set(numbers)].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === n - 1) last[1] = n;
    else ranges.push([n, n]);
  }
  return ranges;
}

export function* inRanges(ranges: Ranges): Generator<number> {
  for (const [first, last] of ranges) for (let n = first; n <= last; n++) yield n;
}

export function rangesHold(ranges: Ranges, n: number): boolean {
  return ranges.some(([first, last]) => first <= n && n <= last);
}

export function rangesSize(ranges: Ranges): number {
  return ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}
