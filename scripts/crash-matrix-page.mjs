// docs/crash-matrix.md from the reports of a run of the crash matrix (test/crash/matrix/define.ts).

/** @typedef {{ column: string, red: string[], recoveryMs: number | null, starts: number, questions: { failure: string, codes: string[], message: string }[] }} Outcome */
/** @typedef {{ row: string, outcomes: Outcome[] }} Report */

const seconds = (ms) => (ms === null ? '' : ` ${(ms / 1_000).toFixed(1)}`);

/** @param {Outcome} outcome */
function cell({ red, recoveryMs, questions }) {
  if (red.length > 0) return '**red**';
  return `${questions.length > 0 ? 'asks' : '✓'}${seconds(recoveryMs)}`;
}

/** The table for a terminal. @param {readonly Report[]} reports */
export function crashMatrixTable(reports) {
  const columns = reports[0].outcomes.map(({ column }) => column);
  const width = Math.max(...reports.map(({ row }) => row.length));
  const line = (first, cells) => `${first.padEnd(width)}  ${cells.map((it) => it.padStart(9)).join('')}`;
  return [
    ...columns.map((column, at) => `${String(at + 1).padStart(2)}  ${column}`),
    '',
    line(
      'seconds until the downgrade goes forward again',
      columns.map((_, at) => String(at + 1)),
    ),
    ...reports.map(({ row, outcomes }) => line(row, outcomes.map(cell))),
    ...reports.flatMap(({ row, outcomes }) =>
      outcomes
        .filter(({ red }) => red.length > 0)
        .map(({ column, red }) => `\nRED ${row} × ${column}:\n  ${red.join('\n  ')}`),
    ),
  ].join('\n');
}

/** @param {readonly Report[]} reports @param {{ minutes: number, cores: number }} run */
export function crashMatrixPage(reports, { minutes, cores }) {
  const outcomes = reports.flatMap((report) => report.outcomes);
  const columns = reports[0].outcomes.map(({ column }) => column);
  const bad = outcomes.filter(({ red }) => red.length > 0).length;
  const asking = outcomes.filter(({ questions }) => questions.length > 0).length;
  return `# The crash matrix

Written by \`npm run test:crash\` from what it saw. Do not edit: the next run writes it again.

${outcomes.length} cells: ${outcomes.length - bad - asking} went on by themselves, ${asking} asked their operator what the design foresees and then
went on, ${bad} red. The last run took ${minutes.toFixed(0)} minutes on ${cores} cores.

## What a cell is

A real worker process, a real Temporal server and a real Postgres. An instance with two databases goes down two releases;
its steps are of every kind. Nothing in the product knows of the test: a proxy between worker and Postgres reads the wire
protocol and stops at one message, a script waits at an advisory lock, an index statement waits for an older transaction.
When all ${columns.length} instances of a row stand at their points (the columns), the fault strikes them all at once.

A cell is green when

- the run ends at the target without a human, or parks with exactly the question that is foreseen there and ends after the
  answer that [operations.md](operations.md) or [dirty.md](dirty.md) gives;
- every script has taken effect exactly once: each part of each script writes a row into a witness table, and an event
  trigger notes what \`CREATE INDEX CONCURRENTLY\` and \`DROP INDEX CONCURRENTLY\` did;
- the schema is that of an undisturbed run, object by object;
- the product's ledger says the target, the journal records each step once, no run is open, the release marker is right;
- no session, transaction, lock or invalid index of ours is left.

The number is the time in seconds from the fault until the journal records the next thing, or the question is asked. A dead
worker is noticed after the heartbeat timeout, which is 5 s here (10 s by default), and another worker waits for work. Column
12 sleeps for ten seconds in its script and has to begin anew. Times are those of ${columns.length} instances that recover at once.

## The columns

${columns.map((column, at) => `${at + 1}. ${column}`).join('\n')}

## The cells

| fault | ${columns.map((_, at) => at + 1).join(' | ')} |
|---|${columns.map(() => '--:').join('|')}|
${reports.map((report) => `| ${report.row} | ${report.outcomes.map(cell).join(' | ')} |`).join('\n')}

${questionsOf(reports)}
## To run it

\`\`\`sh
npm run test:crash
npm run test:crash -- test/crash/network.test.ts
\`\`\`

The second line runs one file of rows and leaves this page as it is. The rows are in \`test/crash/*.test.ts\`, the points in
\`test/crash/matrix/points.ts\`, what a cell is judged by in \`test/crash/matrix/cell.ts\`.
`;
}

/** @param {readonly Report[]} reports */
function questionsOf(reports) {
  const questions = new Map();
  for (const { row, outcomes } of reports) {
    for (const { column, questions: asked } of outcomes) {
      for (const { failure, codes, message } of asked) {
        const name = [failure, ...codes].join(' · ');
        const entry = questions.get(name) ?? { rows: new Set(), columns: new Set(), message };
        entry.rows.add(row);
        entry.columns.add(column);
        questions.set(name, entry);
      }
    }
  }
  if (questions.size === 0) return '';
  const parts = [...questions].map(
    ([name, entry]) => `**${name}**, in ${[...entry.rows].map((row) => `“${row}”`).join(', ')}:

> ${entry.message.replaceAll(/\s+/g, ' ').replaceAll(/([<>|*_])/g, '\\$1')}
`,
  );
  return `## The questions that were asked

One example of each.

${parts.join('\n')}
`;
}
