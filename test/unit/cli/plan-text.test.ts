import { describe, expect, test } from 'vitest';
import { destroysText, formatPlan, type PlanView } from '../../../src/cli/plan-text.js';
import type { Plan, PlannedDataStep, PlannedStep } from '../../../src/contract/plan.js';
import type { Destruction } from '../../../src/contract/script.js';
import { collectingTerminal } from './collecting-terminal.js';

const { colors } = collectingTerminal();
const ID = 'c'.repeat(64);

const lostTable: Destruction = { kind: 'table', object: 'jobs', loss: 'data', cascade: false, certainty: 'certain' };
const lostView: Destruction = {
  kind: 'view',
  object: 'public.v',
  loss: 'structure',
  cascade: true,
  certainty: 'possible',
};

function step(seq: number, over: Partial<PlannedStep> = {}): PlannedStep {
  return {
    seq,
    migration: `17${seq}`,
    name: `step_${seq}`,
    execution: 'atomic',
    script: 'd'.repeat(64),
    ledger: 'row',
    privileged: false,
    terminateBlockers: false,
    destroys: [],
    units: 1,
    ...over,
  };
}

function plan(over: Partial<Plan> = {}): Plan {
  return {
    planFormat: 1,
    id: ID,
    product: 'shop',
    direction: 'down',
    catalog: 'e'.repeat(64),
    from: { release: 'v2.0.0', setHash: {} },
    to: { release: 'v1.0.0', aliases: ['v1.0.1'] },
    databases: ['frontend', 'orders'],
    notNested: [],
    legs: [
      {
        release: 'v1.1.0',
        aliases: [],
        steps: { frontend: [step(1, { execution: 'segmented', units: 3 })], orders: [] },
        setHash: {},
      },
      {
        release: 'v1.0.0',
        aliases: ['v1.0.1'],
        steps: {
          frontend: [step(2, { destroys: [lostView, lostTable] })],
          orders: [step(1, { execution: 'concurrent' })],
        },
        setHash: {},
      },
    ],
    warnings: [],
    ...over,
  };
}

const view = (over: Partial<PlanView> = {}): PlanView => ({
  instance: 'acme-eu',
  plan: plan(),
  alreadyThere: false,
  warnings: [],
  ...over,
});

describe('the plan on paper', () => {
  test('shows per leg and database the ids, names, how each executes and what it destroys', () => {
    expect(formatPlan(view(), colors)).toBe(
      [
        'acme-eu: v2.0.0 ↓ v1.0.0 (= v1.0.1) · 3 steps in 2 legs · databases frontend, orders',
        '',
        'Leg 1/2 → v1.1.0  frontend 1, orders 0',
        ' database  #  id   name    executes      destroys',
        ' frontend  1  171  step_1  segmented ×3',
        '',
        'Leg 2/2 → v1.0.0 (= v1.0.1)  frontend 1, orders 1',
        ' database  #  id   name    executes    destroys',
        ' frontend  2  172  step_2  atomic      table jobs!, view public.v cascade (possibly)',
        ' orders    1  171  step_1  concurrent',
        '',
        `Plan ${ID}`,
        '1 step loses content (marked !) that no later upgrade brings back. To consent to exactly this plan, start it with',
        `  pg-unwind downgrade acme-eu --to v1.0.0 --accept-data-loss ${ID}`,
        'or start it without and, once it waits, type',
        `  pg-unwind approve acme-eu --plan ${ID}`,
      ].join('\n'),
    );
  });

  test('marks a step that ends the sessions in its way', () => {
    const [leg] = plan().legs;
    const marked = { ...leg, steps: { frontend: [step(1, { terminateBlockers: true })] } } as Plan['legs'][number];
    expect(formatPlan(view({ plan: plan({ legs: [marked] }) }), colors)).toMatch(/step_1 +atomic ends blockers/);
  });

  test('without losses it says that no consent is needed', () => {
    const harmless = plan({ legs: plan().legs.slice(0, 1) });
    const text = formatPlan(view({ plan: harmless }), colors);
    expect(text).toContain('No step loses content: it runs without consent.');
    expect(text).not.toContain('accept-data-loss');
  });

  test('an instance that stands at the target has no table', () => {
    const text = formatPlan(view({ alreadyThere: true, plan: plan({ legs: [] }) }), colors);
    expect(text).toBe('acme-eu already stands at v1.0.0: the plan has no step.');
  });

  test('warnings name their database and migration once', () => {
    const text = formatPlan(
      view({
        plan: plan({
          warnings: [
            { code: 'emptyDown', database: 'orders', migration: '171', text: 'its down is empty' },
            { code: 'emptyDown', database: 'orders', migration: '172', text: 'orders 172: its down is empty' },
          ],
        }),
      }),
      colors,
    );
    expect(text).toContain('warning: orders 171: its down is empty\n');
    expect(text).toContain('warning: orders 172: its down is empty\n');
  });
});

describe('stops and hooks in the plan on paper', () => {
  const shown = (over: Partial<PlanView>) => formatPlan(view(over), colors);

  test('a stop stands behind its leg, and says who has the application follow', () => {
    const hooked = shown({
      via: 'every-release',
      stops: [0],
      hooks: { before: 'command', atStop: 'webhook', after: 'activity' },
    });
    expect(hooked.indexOf('First the command hooks.before is called.')).toBeLessThan(hooked.indexOf('Leg 1/2'));
    expect(hooked).toMatch(/segmented ×3\nStop 1 of 1 at v1\.1\.0: the webhook hooks\.atStop is called\.\n\nLeg 2\/2/);
    expect(hooked.indexOf('At the end the activity hooks.after is called.')).toBeGreaterThan(hooked.indexOf('Leg 2/2'));
    expect(hooked).toContain('  pg-unwind downgrade acme-eu --to v1.0.0 --via every-release --accept-data-loss');
    expect(shown({ via: 'v1.1.0', stops: [0] })).toContain(
      'Stop 1 of 1 at v1.1.0: it waits for you. "pg-unwind continue acme-eu --release v1.1.0" goes on.',
    );
  });

  test('nothing is said of them where there are none', () => {
    expect(shown({})).not.toMatch(/stop|hooks/i);
  });
});

describe('data migrations in the plan on paper', () => {
  const data = (id: string, over: Partial<PlannedDataStep> = {}): PlannedDataStep => ({
    id,
    database: 'frontend',
    description: `moves ${id}`,
    direction: 'reverse',
    introduced: 'v1.1.0',
    deprecated: null,
    act: 'reverse',
    handler: { kind: 'activity', taskQueue: 'shop-data', type: 'move', exactlyOnce: true },
    estimatedRows: null,
    ...over,
  });
  const start = { release: 'v2.0.0', aliases: [], steps: { frontend: [], orders: [] }, setHash: {} };
  const harmless = plan().legs[0]!;
  const lines = (over: Partial<PlanView>) => formatPlan(view(over), colors).split('\n');

  test('stand below the schema steps of their leg, with what is done, why there, how far each is and how many rows', () => {
    const legs = [
      { ...start, data: [data('9', { introduced: 'v2.0.0' })] },
      {
        ...harmless,
        data: [
          data('7', { deprecated: 'v2.0.0', estimatedRows: 1_000_000 }),
          data('8', { act: 'leave', database: 'orders' }),
          data('10', { act: 'lose' }),
        ],
      },
    ];
    const text = lines({ plan: plan({ legs }), progress: { 7: 0.999, 8: 0.001, 9: null, 10: 0 } });
    expect(text.slice(0, 12)).toEqual([
      'acme-eu: v2.0.0 ↓ v1.0.0 (= v1.0.1) · 1 step and 4 data migrations in 2 legs · databases frontend, orders',
      '',
      'Leg 1/2 → v2.0.0  frontend 0, orders 0',
      ' no schema steps: only data, on this schema',
      ' data migration  database  description  what     why here                             progress  rows',
      ' 9               frontend  moves 9      reverse  introduced v2.0.0, never deprecated  unknown',
      '',
      'Leg 2/2 → v1.1.0  frontend 1, orders 0',
      ' database  #  id   name    executes      destroys',
      ' frontend  1  171  step_1  segmented ×3',
      ' data migration  database  description  what                why here                              progress  rows',
      ' 7               frontend  moves 7      reverse             introduced v1.1.0, deprecated v2.0.0  99 %      about 1,000,000',
    ]);
    expect(text[12]).toMatch(/ 8 +orders +moves 8 +left as it is +introduced v1.1.0, never deprecated +< 1 %$/);
    expect(text[13]).toMatch(/ 10 +frontend +moves 10 +cannot be reversed .* 0 %$/);
    expect(text).toContain('No step loses content: it runs without consent. Start it with');
  });

  test('one that cannot be reversed and has progressed needs consent', () => {
    const legs = [{ ...harmless, data: [data('7', { act: 'lose' })] }];
    const text = lines({ plan: plan({ legs }), progress: { 7: 0.2 } });
    expect(text).toContain(
      'frontend data migration 7 (moves 7) has progressed and cannot be reversed: v1.0.0 cannot read those rows. ' +
        'To consent to exactly this plan, start it with',
    );
    expect(text).toContain(`  pg-unwind downgrade acme-eu --to v1.0.0 --accept-data-loss ${ID}`);
  });

  test('one that cannot be reversed and whose progress is unknown may need consent', () => {
    const legs = [{ ...harmless, data: [data('7', { act: 'lose' })] }];
    const text = lines({ plan: plan({ legs }) }).join('\n');
    expect(text).toContain('if it has progressed, the run waits for consent to this plan. Start it with');
    expect(text).not.toContain('accept-data-loss');
    expect(text).not.toContain('No step loses content');
  });

  test('a plan that has nothing but data is not already there', () => {
    const text = lines({ plan: plan({ legs: [{ ...start, data: [data('7')] }] }) });
    expect(text[0]).toContain('0 steps and 1 data migration in 1 leg');
    expect(text.join('\n')).not.toContain('already stands');
  });
});

test('of many destroyed objects the losses come first and the rest is counted', () => {
  const views = ['a', 'b', 'c', 'd', 'e'].map((object): Destruction => ({
    ...lostView,
    object,
    cascade: false,
    certainty: 'certain',
  }));
  expect(destroysText([...views, lostTable], 3)).toBe('table jobs!, view a, view b and 3 more');
});
