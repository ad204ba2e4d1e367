const MINUTE = 60;
const HOUR = 60 * MINUTE;

/** `a few seconds`, `about 40 s`, `about 3 min`, `about 1 h 20 min`: no figure that would change at every look. */
export function aboutText(seconds: number): string {
  if (seconds < 10) return 'a few seconds';
  if (to(seconds, 10) < MINUTE) return `about ${to(seconds, 10)} s`;
  if (to(seconds, MINUTE) < 10 * MINUTE) return `about ${to(seconds, MINUTE) / MINUTE} min`;
  if (to(seconds, 5 * MINUTE) < HOUR) return `about ${to(seconds, 5 * MINUTE) / MINUTE} min`;
  const rounded = seconds < 10 * HOUR ? to(seconds, 10 * MINUTE) : to(seconds, HOUR);
  const minutes = (rounded % HOUR) / MINUTE;
  return `about ${Math.floor(rounded / HOUR)} h${minutes === 0 ? '' : ` ${minutes} min`}`;
}

function to(seconds: number, unit: number): number {
  return Math.round(seconds / unit) * unit;
}

/** The moment that is so far away, no more exact than what is said of it: `until 14:05 UTC`; '' for what is over at once. */
export function untilText(now: number, seconds: number): string {
  if (seconds < 2 * MINUTE) return '';
  const unit = seconds < 10 * MINUTE ? MINUTE : seconds < HOUR ? 5 * MINUTE : 10 * MINUTE;
  const at = new Date(to(now / 1_000 + seconds, unit) * 1_000).toISOString();
  const day = seconds < 20 * HOUR ? '' : `${at.slice(0, 10)} `;
  return `until ${day}${at.slice(11, 16)} UTC`;
}
