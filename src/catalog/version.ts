/** What a release is called by; which migrations it holds is another matter (a later number can hold fewer). */
export interface MinorVersion {
  readonly major: number;
  readonly minor: number;
}

export interface Version extends MinorVersion {
  /** 0 when the text names none. */
  readonly patch: number;
  /** A build between releases: `+dev` at the end. */
  readonly dev: boolean;
}

/** The last minor of each finished major, as the product published them: `{ 3: 43, 4: 5 }`. */
export type LastMinors = Readonly<Record<number, number>>;

// v?MAJOR.MINOR[.PATCH][-suffix][+build], the whole text (reference sourcegraph-migrator.md §5.1).
const VERSION = /^v?(\d+)\.(\d+)(?:\.(\d+))?(?:-\w*)?(?:\+([\w.]*))?$/;

/** Null when the text is no version. */
export function parseVersion(text: string): Version | null {
  const match = VERSION.exec(text);
  if (match === null) return null;
  const [, major, minor, patch, build] = match;
  return { major: Number(major), minor: Number(minor), patch: Number(patch ?? 0), dev: build === 'dev' };
}

/** Negative when `left` comes before `right`; 0 within a minor, whatever the patch, suffix or build. */
export function compareVersions(left: MinorVersion, right: MinorVersion): number {
  return left.major - right.major || left.minor - right.minor;
}

/** `5.10`. */
export function minorLabel(version: MinorVersion): string {
  return `${version.major}.${version.minor}`;
}

/** Runs of digits by their number, everything else by code unit. */
export function compareNaturally(left: string, right: string): number {
  const lefts = left.match(/\d+|\D+/g) ?? [];
  const rights = right.match(/\d+|\D+/g) ?? [];
  for (let i = 0; i < Math.min(lefts.length, rights.length); i++) {
    const [a, b] = [lefts[i]!, rights[i]!];
    if (/^\d/.test(a) && /^\d/.test(b)) {
      const [x, y] = [BigInt(a), BigInt(b)];
      if (x !== y) return x < y ? -1 : 1;
    } else if (a !== b) {
      return a < b ? -1 : 1;
    }
  }
  return lefts.length - rights.length || (left < right ? -1 : left > right ? 1 : 0);
}

/**
 * The total order in which labels are listed: versions by major, minor, patch and then naturally (`v5.1.0` before
 * `v5.1.0-rc2` before `v5.1.0-rc10`); after them whatever is no version, naturally.
 */
export function compareLabels(left: string, right: string): number {
  const [a, b] = [parseVersion(left), parseVersion(right)];
  if (a === null || b === null) {
    return Number(a === null) - Number(b === null) || compareNaturally(left, right);
  }
  return compareVersions(a, b) || a.patch - b.patch || compareNaturally(left, right);
}

/** The next minor: that of the next major after the last one of a finished major. */
export function nextVersion(version: MinorVersion, lastMinors: LastMinors): MinorVersion {
  const last = lastMinors[version.major];
  return last !== undefined && version.minor >= last
    ? { major: version.major + 1, minor: 0 }
    : { major: version.major, minor: version.minor + 1 };
}

/** The minor before; null before the first minor of a major whose predecessor is not in the table. */
export function previousVersion(version: MinorVersion, lastMinors: LastMinors): MinorVersion | null {
  if (version.minor > 0) return { major: version.major, minor: version.minor - 1 };
  const last = lastMinors[version.major - 1];
  return last === undefined ? null : { major: version.major - 1, minor: last };
}

/** Every minor from one to the other, both included; null unless `from` is before `to` and the table leads there. */
export function versionRange(from: MinorVersion, to: MinorVersion, lastMinors: LastMinors): MinorVersion[] | null {
  if (compareVersions(from, to) >= 0) return null;
  // An unfinished major on the way never ends: its minors would be counted up for ever.
  for (let major = from.major; major < to.major; major++) if (lastMinors[major] === undefined) return null;
  const range: MinorVersion[] = [];
  let version: MinorVersion = { major: from.major, minor: from.minor };
  for (; compareVersions(version, to) < 0; version = nextVersion(version, lastMinors)) range.push(version);
  return compareVersions(version, to) === 0 ? [...range, version] : null;
}

/**
 * May an instance that last ran `previous` start `latest` without a multi-version upgrade? At most one minor up, or from any
 * minor of a major to the `.0` of the next; every rollback; and whatever cannot be judged because a text is no version.
 */
export function isStandardUpgrade(previous: string, latest: string): boolean {
  const [from, to] = [parseVersion(previous), parseVersion(latest)];
  if (from === null || to === null || compareVersions(from, to) >= 0) return true;
  return from.major === to.major ? to.minor === from.minor + 1 : to.major === from.major + 1 && to.minor === 0;
}
