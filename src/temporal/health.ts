import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { FailureType, UnwindError } from '../contract/errors.js';

/** What a worker is asked for; null: all is well, else why not, in a few words. */
export interface Probes {
  /** Is it worth anything to let this process live? */
  live(): string | null;
  /** Would work that comes now be done? */
  ready(): Promise<string | null>;
}

export interface Health {
  /** From now on these answer; before, the worker lives and is not ready. */
  serve(probes: Probes): void;
  close(): Promise<void>;
}

/** A question has no body: whoever takes longer to ask it only holds a socket. */
const ASKING_MS = 5_000;
const MOST_CONNECTIONS = 64;

/**
 * `GET /livez` and `GET /readyz`: 200 or 503, with a line of text. Answered by the event loop that carries out the work, so that one
 * which does not turn any more does not answer.
 * @throws {UnwindError} InvalidConfig: nobody can listen there.
 */
export async function openHealth(address: string): Promise<Health> {
  let probes: Probes = { live: () => null, ready: () => Promise.resolve('starting') };
  const server = createServer((request, response) => void answer(probes, request, response));
  server.headersTimeout = ASKING_MS;
  server.requestTimeout = ASKING_MS;
  server.keepAliveTimeout = ASKING_MS;
  server.maxConnections = MOST_CONNECTIONS;
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(unusable(address, error)));
    server.listen(Number(address.slice(at + 1)), host, resolve);
  });
  return {
    serve: (these) => {
      probes = these;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(probes: Probes, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const say = (status: number, text: string) =>
    response.writeHead(status, { 'content-type': 'text/plain', 'cache-control': 'no-store' }).end(`${text}\n`);
  if (request.method !== 'GET' && request.method !== 'HEAD') return void say(405, 'only GET');
  const [path] = (request.url ?? '').split('?');
  if (path !== '/livez' && path !== '/readyz') return void say(404, 'only /livez and /readyz');
  const why = path === '/livez' ? probes.live() : await probes.ready().catch(() => 'cannot be asked');
  say(why === null ? 200 : 503, why ?? 'ok');
}

function unusable(address: string, { code }: NodeJS.ErrnoException): UnwindError {
  return new UnwindError(
    FailureType.InvalidConfig,
    `worker.healthAddress is ${address}, where nobody can listen (${code ?? 'unknown'}). Nothing was started. Give it a host of this ` +
      'machine and a port that is free.',
  );
}
