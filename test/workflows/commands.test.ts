import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { findTemporal } from '../../src/temporal/find-temporal.js';
import { dirty, FakeInstance } from './fake-instance.js';
import { type Harness, openHarness, type Started } from './harness.js';

let harness: Harness;
let env: NodeJS.ProcessEnv;
beforeAll(async () => {
  const { address, namespace } = inject('temporal');
  harness = await openHarness({ address, namespace });
  const folder = path.dirname((await findTemporal()).path);
  env = { ...process.env, TEMPORAL_ADDRESS: address, PATH: `${folder}${path.delimiter}${process.env['PATH']}` };
});
afterAll(() => harness.close());

test('the commands in the details can be typed as they stand, whatever the instance is called', async () => {
  const instance = new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ['m2', 'm1'] } }], {
    destructiveSteps: 1,
  });
  instance.next('checkDirty frontend 2', dirty('frontend'), dirty('frontend'));
  const started = await harness.start(instance, { name: `o'neil & sons ${randomUUID()}` });

  await started.inState('awaitingApproval');
  expect(await typed(started, 'approve')).toContain('kind:approve');
  await started.inState('needsOperator');
  expect(await typed(started, 'retryStep')).toContain('kind:retryStep');
  await started.inState('needsOperator');
  expect(await typed(started, 'abort')).toContain('kind:abort');
  expect((await started.report).outcome).toBe('aborted');
});

async function typed({ handle }: Started, name: string): Promise<string> {
  const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
  const line = currentDetails
    .split(/\n(?=temporal )/) // a command goes over several lines
    .find((text) => text.startsWith('temporal ') && text.includes(`--name ${name}`))
    ?.split('\n```')[0];
  const { stdout } = await promisify(execFile)('sh', ['-c', line ?? 'false'], { env });
  return stdout;
}
