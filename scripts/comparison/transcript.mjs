// What a probe did and saw, as text that is the same in each run as far as the facts are the same.

const WIDTH = 150;

/** What differs from machine to machine and from run to run, and says nothing. */
const VARYING = [
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, '<uuid>'],
  [/\b([0-9a-f]{8})[0-9a-f]{56}\b/g, '$1…'],
  [/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00(:00)?)?/g, '<time>'],
  [/\b127\.0\.0\.1:\d+/g, '127.0.0.1:<port>'],
  [/\b(process|pid) \d+/g, '$1 <pid>'],
  [/\b\d+ ms\b/g, '<n> ms'],
  [/\b\d+(\.\d)? s(?= · |$)/gm, '<n> s'],
];

export function createTranscript(folder) {
  const lines = [];
  const clean = (text) =>
    VARYING.reduce((it, [from, to]) => it.replaceAll(from, to), text.replaceAll(folder, '.').trimEnd());
  const add = (text) => lines.push(...clean(text).split('\n').flatMap(wrap));
  /** A blank line before what a person types, unless a remark leads to it. */
  const begin = (text) => {
    if (lines.length > 0 && !lines.at(-1).startsWith('#')) lines.push('');
    add(text);
  };

  return {
    /** What a person would have to know to repeat it. */
    note(text) {
      if (lines.length > 0 && !lines.at(-1).startsWith('#')) lines.push('');
      lines.push(...wrap(`# ${text}`));
    },
    command: (text) => begin(`$ ${text}`),
    query(text, { rows, fields }) {
      begin(`sql> ${text.replaceAll(/\s+/g, ' ')}`);
      if (fields.length > 0) add(tableOf(rows));
    },
    output: add,
    text: () => lines.join('\n'),
  };
}

function tableOf(rows) {
  if (rows.length === 0) return '  (no rows)';
  const columns = Object.keys(rows[0]);
  const cells = [columns, ...rows.map((row) => columns.map((name) => String(row[name] ?? 'null')))];
  const widths = columns.map((_, at) => Math.max(...cells.map((line) => line[at].length)));
  return cells.map((line) => `  ${line.map((it, at) => it.padEnd(widths[at])).join(' | ')}`.trimEnd()).join('\n');
}

/** Breaks at blanks; what follows is indented below the line's own beginning. */
function wrap(line) {
  const indent = /^(# | *)/.exec(line)[0].replace(/^$/, '    ');
  const lines = [];
  let rest = line;
  while (rest.length > WIDTH && rest.lastIndexOf(' ', WIDTH) > indent.length) {
    const at = rest.lastIndexOf(' ', WIDTH);
    lines.push(rest.slice(0, at).trimEnd());
    rest = `${indent}${rest.slice(at + 1)}`;
  }
  return [...lines, rest.trimEnd()];
}
