import { expect, test } from 'vitest';
import { lossPage } from '../../../src/cli/loss-html.js';
import { lossLines } from '../../../src/cli/loss-text.js';
import type { Loss, LossReport } from '../../../src/contract/losses.js';
import type { Plan } from '../../../src/contract/plan.js';
import { bytesText, countText, totalsText } from '../../../src/plan/loss-figures.js';
import { collectingTerminal } from './collecting-terminal.js';

const { colors } = collectingTerminal();
const exact = (value: number) => ({ value, exact: true });
const place = { leg: 0, database: 'frontend', seq: 1, migration: '17', name: 'drop jobs' };
const loss = (over: Partial<Loss> = {}): Loss => ({
  ...place,
  kind: 'table',
  object: 'public.jobs',
  fate: 'goes',
  certainty: 'certain',
  through: null,
  found: 'there',
  rows: exact(12_345),
  values: null,
  bytes: exact(3 * 1024 ** 2),
  ...over,
});
const report = (over: Partial<LossReport> = {}): LossReport => ({
  plan: 'c'.repeat(64),
  takenAt: '2026-01-02T03:04:05.000Z',
  losses: [loss()],
  structure: [],
  returnsEmpty: [],
  unknown: [],
  totals: { tables: 1, columns: 0, rows: exact(12_345), bytes: exact(3 * 1024 ** 2) },
  remarks: [],
  ...over,
});
const text = (of: LossReport) => lossLines(of, colors).join('\n');

test('figures tell an estimate from a count, and bytes are in the units of Postgres', () => {
  expect(countText({ value: 1_234_567, exact: false })).toBe('~1,234,567');
  expect(countText(null)).toBe('');
  expect([0, 1023, 1024, 150 * 1024, 5.25 * 1024 ** 3].map((value) => bytesText(exact(value)))).toEqual([
    '0 B',
    '1023 B',
    '1.0 kB',
    '150 kB',
    '5.3 GB',
  ]);
});

test('the largest loss stands first, what is rewritten last, what is empty is only counted', () => {
  const lines = text(
    report({
      losses: [
        loss({ object: 'public.small', bytes: exact(10) }),
        loss({ kind: 'rewrite', object: 'public.changed', fate: 'changes', bytes: exact(10 ** 9) }),
        loss({ object: 'public.empty', rows: exact(0) }),
        loss({ object: 'public.large' }),
        loss({ object: 'public.later', found: 'notThere', rows: null, bytes: null }),
      ],
    }),
  );
  const order = ['public.large', 'public.small', 'rewrites public.changed'].map((what) => lines.indexOf(what));
  expect(order).toEqual(order.toSorted((a, b) => a - b));
  expect(order).not.toContain(-1);
  expect(lines).toContain('≤ 12,345');
  expect(lines).not.toContain('public.empty');
  expect(lines).toContain('1 more object holds nothing now');
  expect(lines).toContain('1 is not there now: an earlier step may make it');
});

test('an object is one line, however many steps take of it: with the step that drops it', () => {
  const lines = text(
    report({
      losses: [
        loss({ kind: 'rows', migration: '16', name: 'empty jobs' }),
        loss(),
        loss({ migration: '18', name: 'drop jobs again' }),
      ],
    }),
  );
  expect(lines.match(/public\.jobs/g)).toHaveLength(1);
  expect(lines).toContain('17 drop jobs and 2 more steps');
  expect(lines).toContain('table public.jobs');
});

test('a plan that loses nothing has no such part; one whose tables are empty says so', () => {
  expect(lossLines(report({ losses: [] }), colors)).toEqual([]);
  expect(text(report({ losses: [loss({ rows: exact(0) })] }))).toContain('no doomed object holds any content now');
});

test('what returns empty, what nobody can know, and what could not be counted is said with its step', () => {
  const lines = text(
    report({
      returnsEmpty: [{ ...place, kind: 'table', object: 'sessions' }],
      unknown: [{ ...place, why: 'may drop a table that is named only when it runs' }],
      remarks: ['frontend: public.jobs is locked by somebody: its figures are estimates'],
    }),
  );
  expect(lines).toContain('returns without its content: table sessions (frontend 17 drop jobs)');
  expect(lines).toContain('cannot be known: may drop a table that is named only when it runs (frontend 17 drop jobs)');
  expect(lines).toContain('note: frontend: public.jobs is locked by somebody');
});

test('the sum counts tables, rows, columns and bytes', () => {
  expect(totalsText(report())).toBe('In all 1 table with 12,345 rows: 3.0 MB.');
  const one = { tables: 1, columns: 0, rows: { value: 1, exact: true }, bytes: { value: 24, exact: true } };
  expect(totalsText(report({ totals: one }))).toBe('In all 1 table with 1 row: 24 B.');
  const totals = { tables: 2, columns: 1, rows: { value: 5, exact: false }, bytes: { value: 2048, exact: false } };
  expect(totalsText(report({ totals }))).toBe('In all 2 tables with ~5 rows and 1 column: ~2.0 kB.');
});

test('the page is whole in itself, escapes what it shows, and names the plan to consent to', () => {
  const plan = {
    id: 'c'.repeat(64),
    direction: 'down',
    from: { release: 'v2.0.0' },
    to: { release: 'v1.0.0' },
    databases: ['frontend'],
    legs: [],
  } as unknown as Plan;
  const page = lossPage({
    instance: 'acme',
    plan,
    losses: report({ losses: [loss({ object: 'public."<b>&"' }), loss({ object: 'public.jobs' })] }),
  });
  expect(page).not.toMatch(/(src|href)=|@import|url\(/);
  expect(page).not.toContain('<b>');
  expect(page).toContain('public.&#34;&#60;b&#62;&#38;&#34;');
  expect(page).toContain(`--accept-data-loss ${'c'.repeat(64)}`);
  expect(page.match(/class="bar"/g)).toHaveLength(2);
});
