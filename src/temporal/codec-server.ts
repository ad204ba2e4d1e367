import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Payload } from '@temporalio/common';
import { FailureType, UnwindError } from '../contract/errors.js';
import { createEncryption, isEncrypted, keyIdOf, type PayloadKey } from './encryption.js';

export interface CodecServerOptions {
  /** host:port. Whoever can reach it can read what is encrypted. */
  readonly listen: string;
  /** Of the pages that may ask from a browser: "http://localhost:8233". */
  readonly origins: readonly string[];
  readonly keys: readonly PayloadKey[];
  /** Told once of each key that is asked for and not here. */
  readonly warn: (line: string) => void;
}

export interface CodecServer {
  /** "http://127.0.0.1:8234" */
  readonly url: string;
  close(): Promise<void>;
}

/** Several payloads of the largest size that Temporal takes (2 MiB each), in base64. */
const MOST_BYTES = 32 * 1024 * 1024;

/**
 * `POST /decode` and `POST /encode`, as the Temporal CLI (`--codec-endpoint`) and the Web UI ask them.
 * @throws {UnwindError} InvalidConfig: nobody can listen there.
 */
export async function openCodecServer(options: CodecServerOptions): Promise<CodecServer> {
  const coders = codersOf(options);
  const server = createServer((request, response) => void answer(options.origins, coders, request, response));
  const at = options.listen.lastIndexOf(':');
  const host = options.listen.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(unusable(options.listen, error)));
    server.listen(Number(options.listen.slice(at + 1)), host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${options.listen.slice(0, at)}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

type Coder = (payload: Payload) => Promise<Payload>;
type Coders = Readonly<Record<'/encode' | '/decode', Coder>>;

function codersOf({ keys, warn }: CodecServerOptions): Coders {
  const codec = createEncryption(keys);
  const warned = new Set<string>();
  const one = (payloads: Payload[]) => payloads[0] as Payload; // as many come back as went in
  return {
    '/encode': async (payload) => (isEncrypted(payload) ? payload : one(await codec.encode([payload]))),
    // One that cannot be read must not hide all the others of a page.
    '/decode': async (payload) =>
      codec.decode([payload]).then(one, (error: Error) => {
        const id = keyIdOf(payload);
        if (!warned.has(id)) warn(error.message);
        warned.add(id);
        return payload;
      }),
  };
}

async function answer(
  origins: readonly string[],
  coders: Coders,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const say = (status: number, text: string) =>
    response.writeHead(status, { 'content-type': 'text/plain' }).end(`${text}\n`);
  const { origin } = request.headers;
  // The server refuses too, not the browser alone: a page that has made its own name point here sends another origin.
  if (origin !== undefined && !origins.includes(origin)) {
    return void say(403, `the origin ${origin} is not one of --allow-origin`);
  }
  for (const [name, value] of Object.entries(corsOf(request))) response.setHeader(name, value);
  if (request.method === 'OPTIONS') return void response.writeHead(204).end();
  const coder = coders[(request.url ?? '').split('?')[0] as keyof Coders] as Coder | undefined;
  if (coder === undefined || request.method !== 'POST') return void say(404, 'only POST /encode and POST /decode');
  try {
    const asked = JSON.parse(await bodyOf(request)) as { payloads?: JsonPayload[] };
    const payloads = await Promise.all((asked.payloads ?? []).map(async (it) => toJson(await coder(fromJson(it)))));
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    response.end(JSON.stringify({ payloads }));
  } catch {
    say(400, 'not a list of payloads, as Temporal writes it in JSON');
  }
}

function corsOf({ headers, method }: IncomingMessage): Record<string, string> {
  if (headers.origin === undefined) return {};
  const own = {
    'access-control-allow-origin': headers.origin,
    vary: 'origin',
    'access-control-allow-credentials': 'true',
  };
  if (method !== 'OPTIONS') return own;
  return {
    ...own,
    'access-control-allow-methods': 'POST, OPTIONS',
    'access-control-allow-headers':
      headers['access-control-request-headers'] ?? 'content-type, x-namespace, authorization',
    // a Web UI elsewhere that asks the machine of whoever looks at it
    ...(headers['access-control-request-private-network'] ? { 'access-control-allow-private-network': 'true' } : {}),
  };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) throw new Error('too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** A payload in protobuf's JSON: bytes are base64. */
interface JsonPayload {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly data?: string;
}

function fromJson({ metadata = {}, data = '' }: JsonPayload): Payload {
  const bytes = Object.entries(metadata).map(([name, value]) => [name, Buffer.from(value, 'base64')] as const);
  return { metadata: Object.fromEntries(bytes), data: Buffer.from(data, 'base64') };
}

function toJson({ metadata, data }: Payload): JsonPayload {
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  const texts = Object.entries(metadata ?? {}).map(([name, value]) => [name, base64(value)] as const);
  return { metadata: Object.fromEntries(texts), data: base64(data ?? new Uint8Array()) };
}

function unusable(address: string, { code }: NodeJS.ErrnoException): UnwindError {
  return new UnwindError(
    FailureType.InvalidConfig,
    `Nobody can listen at ${address} (${code ?? 'unknown'}). Nothing was started. Give --listen a host of this machine and a port that is free.`,
  );
}
