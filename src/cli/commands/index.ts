import type { CommandSpec } from '../command.js';
import { catalogBuildCommand } from './catalog-build.js';
import { catalogShowCommand } from './catalog-show.js';
import { checkCommand } from './check.js';
import { codecServerCommand } from './codec-server.js';
import { completionCommand } from './completion.js';
import { dataListCommand } from './data-list.js';
import { dataRunCommand } from './data-run.js';
import { demoCommand } from './demo.js';
import { devCommand } from './dev.js';
import { explainCommand } from './explain.js';
import { historyCommand } from './history.js';
import { logCommand } from './log.js';
import { planCommand } from './plan.js';
import { setupCommand } from './setup.js';
import { downgradeCommand, upgradeCommand } from './start.js';
import { statusCommand } from './status.js';
import { temporalCommand } from './temporal.js';
import {
  abortCommand,
  acceptCommand,
  approveCommand,
  continueCommand,
  pauseCommand,
  resumeCommand,
  retryCommand,
  setOptionsCommand,
  skipCommand,
  turnBackCommand,
} from './updates.js';
import { watchCommand } from './watch.js';
import { workerCommand } from './worker.js';

/** Every command, in the order of the help: the catalog, a downgrade, while it runs, what serves it. */
export const COMMANDS: readonly CommandSpec[] = [
  catalogBuildCommand,
  catalogShowCommand,
  planCommand,
  checkCommand,
  downgradeCommand,
  upgradeCommand,
  dataListCommand,
  dataRunCommand,
  statusCommand,
  watchCommand,
  approveCommand,
  retryCommand,
  acceptCommand,
  skipCommand,
  pauseCommand,
  resumeCommand,
  continueCommand,
  setOptionsCommand,
  abortCommand,
  turnBackCommand,
  historyCommand,
  logCommand,
  explainCommand,
  completionCommand(() => COMMANDS),
  workerCommand,
  setupCommand,
  codecServerCommand,
  devCommand,
  demoCommand,
  temporalCommand,
];
