import Table from 'cli-table3';

// Columns set apart by spaces: the table can be searched, cut and pasted like any other text.
const BORDERLESS = {
  chars: {
    top: '',
    'top-mid': '',
    'top-left': '',
    'top-right': '',
    bottom: '',
    'bottom-mid': '',
    'bottom-left': '',
    'bottom-right': '',
    left: ' ',
    'left-mid': '',
    mid: '',
    'mid-mid': '',
    right: '',
    'right-mid': '',
    middle: '  ',
  },
  style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
};

/** A table without lines, for the plan and for everything else the CLI lists. */
export function borderless(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const table = new Table({ ...BORDERLESS, head: [...head] });
  table.push(...rows.map((row) => [...row]));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}
