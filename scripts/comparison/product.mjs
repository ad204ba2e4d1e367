// What the comparison takes from the product beside its commands. dist/ is current: scripts/comparison.mjs built it.
export { startChildWorker } from '../../dist/cli/example/child-worker.js';
export { startServers } from '../../dist/cli/example/servers.js';
export { createStops } from '../../dist/cli/example/stops.js';
export { onInterrupt } from '../../dist/cli/interrupt.js';
