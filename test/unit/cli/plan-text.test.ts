import { describe, expect, test } from 'vitest';
import { destroysText, formatPlan, type PlanView } from '../../../src/cli/plan-text.js';
import type { Plan, PlannedStep } from '../../../src/contract/plan.js';
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

test('of many destroyed objects the losses come first and the rest is counted', () => {
  const views = ['a', 'b', 'c', 'd', 'e'].map((object): Destruction => ({
    ...lostView,
    object,
    cascade: false,
    certainty: 'certain',
  }));
  expect(destroysText([...views, lostTable], 3)).toBe('table jobs!, view a, view b and 3 more');
});
