import path from 'node:path';
import { writeConfig } from './config-file.mjs';
import { copyName } from './downgrade.mjs';
import { startWorker } from './worker-process.mjs';
import { startWorkflow, untilEnded } from './workflow.mjs';

const LOOK_EVERY_MS = 200;

/** Resident memory of one worker while it takes a fleet of the example product down, all instances at once. */
export async function measureMemory({ bench, shop, instances, folder }) {
  const { databases, postgres, client, temporal, say } = bench;
  const names = [shop.main];
  const plan = shop.descent(names);
  const all = Array.from({ length: instances }, (_, at) => `fleet-${at + 1}`);
  for (const instance of all) await databases.copy(shop, { [shop.main]: copyName(instance, shop.main) });
  await databases.settle();
  const config = await writeConfig({
    folder: path.join(folder, 'fleet'),
    temporal,
    subject: shop,
    instances: Object.fromEntries(
      all.map((instance) => [instance, { [shop.main]: postgres.url(copyName(instance, shop.main)) }]),
    ),
  });
  const worker = await startWorker({ config });
  let peak = 0;
  const idle = worker.residentMb();
  const watch = setInterval(() => (peak = Math.max(peak, worker.residentMb() ?? 0)), LOOK_EVERY_MS);
  const began = performance.now();
  try {
    const { taskQueue } = config.temporal;
    const handles = await Promise.all(
      all.map((instance) => startWorkflow({ client, taskQueue, instance, to: shop.to, plan })),
    );
    await Promise.all(handles.map(untilEnded));
  } finally {
    clearInterval(watch);
    await worker.stop();
  }
  const seconds = (performance.now() - began) / 1_000;
  say(`${instances} instances side by side: ${peak} MB at most, ${seconds.toFixed(1)} s`);
  for (const instance of all) await databases.drop({ one: copyName(instance, shop.main) });
  const steps = plan.legs.flatMap((leg) => leg.steps[shop.main] ?? []).length;
  return { instances, steps, idle, peak: peak || null, seconds };
}
