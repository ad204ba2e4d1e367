import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { repository } from '../support/shared.js';

export const historiesFolder = path.join(repository, 'test', 'replay', 'histories', 'unwind-instance');

/** The release that the next histories are saved for. One that is out is never saved again: such runs may still live. */
const VERSION = '0.1.0';

/** With PG_UNWIND_SAVE_HISTORIES=1 the tests of this tier write the histories that test/replay replays. */
export async function saveHistory(handle: WorkflowHandle, what: string): Promise<void> {
  if (process.env['PG_UNWIND_SAVE_HISTORIES'] !== '1') return;
  await mkdir(historiesFolder, { recursive: true });
  const json = withoutStacks(historyToJSON(await handle.fetchHistory()));
  await writeFile(path.join(historiesFolder, `${what}-${VERSION}.json`), `${json}\n`);
}

/** A stack names the folders of the machine that the history was saved on, and no replay looks at it. */
function withoutStacks(json: string): string {
  const history: unknown = JSON.parse(json);
  return JSON.stringify(history, (key, value: unknown) => (key === 'stackTrace' ? undefined : value), 2);
}
