import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { startOwnedProcess, type OwnedProcess } from '../../src/process/owned-process.js';
import { repository } from './shared.js';
import { until } from './until.js';

const APP = path.join(repository, 'examples', 'shop', 'app');

export interface AppProcess {
  readonly url: string;
  readonly process: OwnedProcess;
}

/** `server` or `deployer`, as its own file's first line starts it. */
export async function startAppProcess(name: 'server' | 'deployer', args: readonly string[]): Promise<AppProcess> {
  const child = startOwnedProcess({
    command: process.execPath,
    args: [path.join(APP, `${name}.mjs`), ...args],
    env: process.env,
    stopWith: [
      ['TERM', 10],
      ['KILL', 5],
    ],
  });
  const said = () => child.lastLines().join('\n');
  const url = await until(() => /listens on (\S+)/.exec(said())?.[1], {
    within: 20_000,
    describe: `${name} to listen`,
    show: () => [child.end(), said()],
  });
  return { url, process: child };
}

export interface Deployer extends AppProcess {
  /** Sends a document as a run does. */
  send(document: object, how?: { key?: string; secret?: string; at?: number; signed?: string }): Promise<Answer>;
  /** What runs. */
  state(): Promise<{ readonly release: string | null; readonly url: string | null }>;
}

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

export async function startDeployer(folder: string): Promise<Deployer> {
  const secret = `whsec_${randomBytes(24).toString('base64')}`;
  const secretFile = path.join(folder, `${randomUUID()}.secret`);
  writeFileSync(secretFile, `${secret}\n`);
  const child = await startAppProcess('deployer', ['--databases', folder, '--secret-file', secretFile]);
  return {
    ...child,
    async send(document, { key = `msg_${randomUUID()}`, secret: signedWith = secret, at = Date.now(), signed } = {}) {
      const body = JSON.stringify(document);
      const timestamp = String(Math.floor(at / 1000));
      const hmac = createHmac('sha256', Buffer.from(signedWith.slice('whsec_'.length), 'base64'));
      const signature = signed ?? `v1,${hmac.update(`${key}.${timestamp}.${body}`).digest('base64')}`;
      const response = await fetch(child.url, {
        method: 'POST',
        body,
        headers: { 'webhook-id': key, 'webhook-timestamp': timestamp, 'webhook-signature': signature },
      });
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    },
    async state() {
      const response = await fetch(child.url);
      return (await response.json()) as { release: string | null; url: string | null };
    },
  };
}
