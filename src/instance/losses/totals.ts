import type { Count, Loss, LossTotals } from '../../contract/losses.js';

/**
 * What goes for good, each table and each column once. Rows that are only rewritten are in no sum: how many of them really change
 * nobody knows before.
 */
export function totalsOf(losses: readonly Loss[]): LossTotals {
  const tables = new Map<string, Loss>();
  const columns = new Map<string, Loss>();
  for (const loss of losses) {
    if (loss.fate !== 'goes' || loss.found !== 'there') continue;
    const key = `${loss.database} ${loss.object}`;
    if (loss.kind === 'table' || loss.kind === 'rows') tables.set(key, loss);
    if (loss.kind === 'column') columns.set(key, loss);
  }
  for (const key of columns.keys()) {
    if (tables.has(key.slice(0, key.lastIndexOf('.')))) columns.delete(key); // its table goes as well
  }
  return {
    tables: tables.size,
    columns: columns.size,
    rows: sumOf([...tables.values()].map(({ rows }) => rows)),
    bytes: sumOf([...tables.values(), ...columns.values()].map(({ bytes }) => bytes)),
  };
}

/** One that is not known makes the sum an estimate. */
function sumOf(counts: readonly (Count | null)[]): Count {
  return {
    value: counts.reduce((sum, count) => sum + (count?.value ?? 0), 0),
    exact: counts.every((count) => count?.exact === true),
  };
}
