import { expect, test } from 'vitest';
import { findInstance } from '../../../src/config/instances.js';
import { hookKindsOf, hookOf, timeoutOf } from '../../../src/config/hooks.js';
import { parseConfig } from '../../../src/config/load.js';
import { UnwindError } from '../../../src/contract/errors.js';

const config = (product: string, instance: string) => `
temporal: { taskQueue: databases }
products:
  shop:
    catalog: ./shop
    ledger: { kind: sourcegraph }
    databases: { frontend: { ledgerKey: schema_migrations } }
    hooks: ${product}
instances:
  acme:
    product: shop
    databases: { frontend: { url: { env: FRONTEND_URL } } }
    hooks: ${instance}
`;
const read = (product: string, instance: string) =>
  parseConfig(config(product, instance), '/etc/pg-unwind/pg-unwind.yaml');

function problemsOf(hooks: string): string[] {
  try {
    read('{}', hooks);
  } catch (error) {
    const { problems } = (error as UnwindError).details as { problems: { path: string; message: string }[] };
    return problems.map(({ path, message }) => `${path}: ${message}`);
  }
  return [];
}

test("an instance's hook stands in place of its product's, one by one", () => {
  const acme = findInstance(
    read(
      '{ before: { command: [./stop, now] }, atStop: { webhook: { url: "https://deploy.example/turn", secret: { file: hook.secret } } } }',
      '{ atStop: { activity: { taskQueue: deploys, type: turn }, timeoutSeconds: 7 } }',
    ),
    'acme',
  );
  expect(hookKindsOf(acme)).toEqual({ before: 'command', atStop: 'activity' });
  expect(hookOf(acme, 'atStop')).toMatchObject({ activity: { taskQueue: 'deploys', type: 'turn' }, attempts: 10 });
  expect(timeoutOf(hookOf(acme, 'atStop') as never)).toBe(7);
  expect(timeoutOf(hookOf(acme, 'before') as never)).toBe(600);
  expect(acme.product.hooks.atStop?.webhook?.secret).toEqual({ kind: 'file', path: '/etc/pg-unwind/hook.secret' });
});

test('whatever is wrong with hooks is said at once, and no secret is repeated', () => {
  const said = problemsOf(
    '{ before: { command: [], activity: { taskQueue: databases, type: x } }, atstop: { command: [a] }, ' +
      'atStop: { webhok: {}, attempts: 0 }, ' +
      'after: { webhook: { url: "ftp://deploy.example", secret: whsec_c2VjcmV0 }, timeoutSeconds: 301 } }',
  );
  const at = 'instances.acme.hooks';
  expect(said).toEqual(
    expect.arrayContaining([
      `${at}.before: has "command" and "activity"; it takes one of "webhook", "command" or "activity"`,
      `${at}.before.command: must name a program`,
      expect.stringMatching(/before\.activity\.taskQueue: "databases" is the queue of pg-unwind's own workers/),
      `${at}.atstop: unknown key; did you mean "atStop"?`,
      `${at}.atStop: has none of "webhook", "command" or "activity"`,
      expect.stringMatching(/atStop\.webhok: unknown key.*"webhook"/),
      expect.stringMatching(/atStop\.attempts: /),
      expect.stringMatching(/after\.webhook\.url: is not an http or https URL/),
      expect.stringMatching(/after\.timeoutSeconds: a webhook is waited for 300 s at most/),
      expect.stringMatching(/after\.webhook\.secret: a secret does not belong in this file/),
    ]),
  );
  expect(said.join()).not.toContain('c2VjcmV0');
  expect(problemsOf('{ atStop: { webhook: { url: "https://ann:word@deploy.example" } } }').join()).toMatch(
    /holds a user or password/,
  );
});
