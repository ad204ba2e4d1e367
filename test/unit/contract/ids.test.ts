import { expect, test } from 'vitest';
import { dataWorkflowIdOf, instanceOf, workflowIdOf } from '../../../src/contract/ids.js';

test('the workflow of an instance names it; that of a data migration is no other instance', () => {
  expect(instanceOf(workflowIdOf('acme-eu'))).toBe('acme-eu');
  expect(dataWorkflowIdOf('acme-eu', '7')).toBe('unwind/acme-eu/data/7');
  expect(instanceOf(dataWorkflowIdOf('acme-eu', '7'))).toBeNull();
  for (const other of ['unwind/', 'acme-eu', 'other/unwind/acme-eu']) expect(instanceOf(other)).toBeNull();
});
