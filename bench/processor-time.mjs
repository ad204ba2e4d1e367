import { readdirSync, readFileSync } from 'node:fs';

const TICK_MS = 10; // USER_HZ is 100 on every Linux that Node runs on

/**
 * Milliseconds of processor time that a process has used so far; with `children` those of its children too, ended or not. What a
 * busy machine does to a wall clock it does not do to this. Null where there is no /proc.
 */
export function processorTime(pid, { children = false } = {}) {
  try {
    if (!children) {
      const { user, system } = readStat(pid);
      return (user + system) * TICK_MS;
    }
    for (;;) {
      const { ended } = readStat(pid);
      const alive = childrenOf(pid).reduce((sum, { user, system }) => sum + user + system, 0);
      const own = readStat(pid);
      if (own.ended !== ended) continue; // a child that ended in between would be counted twice, or not at all
      return (own.user + own.system + ended + alive) * TICK_MS;
    }
  } catch {
    return null;
  }
}

function childrenOf(pid) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readStatOrNull(name))
    .filter((stat) => stat?.parent === pid);
}

function readStatOrNull(pid) {
  try {
    return readStat(pid);
  } catch {
    return null; // ended between the two looks
  }
}

/** The command's name, in parentheses, may hold blanks. */
function readStat(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const at = (number) => Number(fields[number - 3]); // numbered as in proc(5)
  return { parent: at(4), user: at(14), system: at(15), ended: at(16) + at(17) };
}
