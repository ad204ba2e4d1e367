import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { noWorker } from '../../src/cli/failure.js';
import { createRuns } from '../../src/cli/runs.js';
import { openHarness, type Harness } from './harness.js';

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness(inject('temporal'));
});
afterAll(() => harness.close());

test('of a run that was started on a misspelt task queue it is said that workers of the configuration do not see it', async () => {
  const { client } = harness;
  const { namespace } = client.options;
  const instance = `slip-${randomUUID()}`;
  const slip = createRuns({ client, namespace, taskQueue: 'pgunwind' });
  await slip.start('downgrade', { instance, to: 'v1.0.0' });
  try {
    const meant = createRuns({ client, namespace, taskQueue: 'pg-unwind' });
    const answer = await meant.status(instance);
    if (answer.kind === 'answered') throw new Error('nobody polls that queue');
    expect(answer.why).toMatch(/^no worker .* \(task queue "pgunwind"\)$/);
    expect(answer.todo).toContain('It was started on that queue, and pg-unwind.yaml has "pg-unwind"');
    expect(answer.todo).toContain(`"temporal workflow terminate --workflow-id unwind/${instance}"`);

    const right = await slip.status(instance);
    expect(right).not.toHaveProperty('todo');
  } finally {
    await meantHandle(instance).terminate('end of the test');
  }
});

test('where the queue is the right one a worker is all that is missing', () => {
  const text = (own: string) => noWorker('acme-eu', 'unwind/acme-eu', { own, configured: 'pg-unwind' }).message;
  expect(text('pg-unwind')).toBe(
    'No worker answers for acme-eu on the task queue "pg-unwind". The run is safe and waits for one. Start one with "pg-unwind worker".',
  );
  expect(text('pgunwind')).toContain('No worker answers for acme-eu on the task queue "pgunwind".');
  expect(text('pgunwind')).not.toContain('"pg-unwind worker"');
});

function meantHandle(instance: string) {
  return harness.client.workflow.getHandle(`unwind/${instance}`);
}
