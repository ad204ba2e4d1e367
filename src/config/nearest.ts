import { distance } from 'fastest-levenshtein';

/** At most three of `known` that a slip of the finger away from `name` would be, nearest first. */
export function nearestNames(name: string, known: Iterable<string>): string[] {
  const far = Math.max(2, Math.floor(name.length / 3));
  return [...known]
    .map((candidate) => ({ candidate, away: distance(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ candidate, away }) => away <= far || (name.length > 2 && candidate.startsWith(name)))
    .sort((a, b) => a.away - b.away || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

/** `; known are "a", "b"`, or the nearest of many, or nothing. For the end of a message. */
export function suggestion(name: string, known: readonly string[]): string {
  const near = nearestNames(name, known);
  if (near.length > 0) return `; did you mean ${near.map(quoted).join(' or ')}?`;
  if (known.length === 0) return '';
  return `; known: ${known.slice(0, 12).map(quoted).join(', ')}${known.length > 12 ? `, … (${known.length} in all)` : ''}`;
}

function quoted(text: string): string {
  return `"${text}"`;
}
