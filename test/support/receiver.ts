import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Ms since the epoch. */
  readonly at: number;
}

/** `hang`: no answer at all. */
export type Reply =
  | number
  | 'hang'
  | {
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
      /** The body goes on for as long as the connection lives. */
      readonly endless?: boolean;
    };

/** A real HTTP server that answers as it is told, and 200 when it is told nothing. */
export interface Receiver {
  readonly url: string;
  readonly received: Received[];
  /** For the next calls, in turn; the last of them stays. */
  replies(...replies: Reply[]): void;
  close(): Promise<void>;
}

export async function openReceiver(): Promise<Receiver> {
  const received: Received[] = [];
  let turn: Reply[] = [];
  const server = createServer((request, response) => void take(request, response));
  async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    received.push({
      method: request.method ?? '',
      url: request.url ?? '',
      headers: request.headers,
      body: Buffer.concat(parts).toString('utf8'),
      at: Date.now(),
    });
    const reply = (turn.length > 1 ? turn.shift() : turn[0]) ?? 200;
    if (reply === 'hang') return;
    const { status, headers = {}, body = '', endless = false } = typeof reply === 'number' ? { status: reply } : reply;
    response.writeHead(status, { ...headers, connection: 'close' });
    if (endless) response.write(body);
    else response.end(body);
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  onTestFinished(() => close());
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    replies: (...replies) => void (turn = replies),
    close,
  };
}
