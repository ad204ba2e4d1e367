/**
 * A bar with a tick where a release ends: `██████│███░░░│░░░`. Full only when everything is done; ticks that would stand side by
 * side are left out, since nobody can tell them apart.
 */
export function tickedBar(done: number, total: number, boundaries: readonly number[], width: number): string {
  const filled = total <= 0 ? 0 : Math.min(width, Math.floor((done / total) * width));
  const cells: string[] = Array.from({ length: width }, (_, at) => (at < filled ? '█' : '░'));
  let last = -2;
  for (const boundary of boundaries) {
    const at = total <= 0 ? 0 : Math.floor((boundary / total) * width);
    if (at <= 0 || at >= width || at - last < 2) continue;
    cells[at] = '│';
    last = at;
  }
  return cells.join('');
}
