// Plays the probes one after the other, on one Postgres and one Temporal server, each in a folder and a database of its own.
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { killNonTransactional, killOrphan, killTransactional } from './kills.mjs';
import { createStops, onInterrupt, startServers } from './product.mjs';
import { twoAtOnce } from './rivals.mjs';
import { emptyDown, failsInTheMiddle, noDown, silentDifference } from './scripts.mjs';
import { openStage, query, ROLE, seconds } from './stage.mjs';

const PROBES = [
  killNonTransactional,
  killOrphan,
  killTransactional,
  failsInTheMiddle,
  noDown,
  emptyDown,
  silentDifference,
  twoAtOnce,
];
export const NAMES = PROBES.map(({ id }) => id);

/**
 * @param {{ names: readonly string[], say: (line: string) => void, keep: (id: string, transcript: string) => void }} options
 * @returns {Promise<string[]>} what did not hold.
 */
export async function playAll({ names, say, keep }) {
  const interrupt = onInterrupt();
  const stops = createStops();
  const failures = [];
  try {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'pg-unwind-comparison-'));
    stops.push(() => rm(folder, { recursive: true, force: true }));
    const servers = await startServers(stops, { temporal: { say } });
    const { superuserUrl, password } = servers.postgres;
    await query(superuserUrl, `create role ${ROLE} login password '${password}'`);
    const interrupted = interrupt.arrived.then((signal) => {
      throw new Error(`Stopped by ${signal}.`);
    });
    for (const probe of PROBES.filter(({ id }) => names.includes(id))) {
      await Promise.race([play(probe, { servers, folder, say, keep, failures }), interrupted]);
    }
  } finally {
    await stops.all();
    interrupt.release();
  }
  return failures;
}

async function play(probe, { servers, folder, say, keep, failures }) {
  const began = performance.now();
  const stops = createStops();
  const stage = await openStage({ ...probe, servers, folder: path.join(folder, probe.id), stops });
  try {
    await probe.play(stage);
    keep(probe.id, stage.text());
    say(`${probe.id}: holds (${seconds(performance.now() - began)})`);
  } catch (error) {
    failures.push(probe.id);
    say(`${probe.id}: ${error.stack ?? error}\n${stage.text()}`);
  } finally {
    await stops.all();
    await stage.close();
  }
}
