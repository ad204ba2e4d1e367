import path from 'node:path';
import { bundleWorkflowCode, type WorkflowBundleWithSourceMap } from '@temporalio/worker';
import { repository } from './shared.js';

let bundle: Promise<WorkflowBundleWithSourceMap> | null = null;

/** The workflow code as a worker gets it: one bundle per process (1.5 s), straight from the TypeScript. */
export function workflowBundle(): Promise<WorkflowBundleWithSourceMap> {
  bundle ??= bundleWorkflowCode({
    workflowsPath: path.join(repository, 'src', 'workflows', 'index.ts'),
    logger: quiet,
  });
  return bundle;
}

/** Webpack's report is of interest only when something is wrong. */
const quiet = {
  log() {},
  trace() {},
  debug() {},
  info() {},
  warn: (message: string) => console.warn(message),
  error: (message: string) => console.error(message),
};
