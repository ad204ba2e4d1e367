import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { TestDatabase } from './postgres.js';

/** A path to the server that can swallow what is sent, both ways, without a word: no error, no end of the connection. */
export interface SilentPath {
  url(direct: string): string;
  /** The connections that stand now go silent; new ones work. */
  swallowPresent(): void;
  /** All go silent, and whoever connects is accepted and hears nothing. */
  swallowAll(): void;
  /** New connections work again; those that went silent stay so. */
  heal(): void;
  close(): Promise<void>;
}

export async function silentPathTo(database: TestDatabase): Promise<SilentPath> {
  const { hostname, port } = new URL(database.url);
  const lines = new Set<() => void>();
  const sockets = new Set<Socket>();
  let open = true;
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
    }
    let silent = false;
    const silence = () => {
      silent = true;
    };
    lines.add(silence);
    if (!open) silence();
    near.on('data', (chunk) => silent || far.write(chunk));
    far.on('data', (chunk) => silent || near.write(chunk));
    near.on('close', () => silent || far.destroy());
    far.on('close', () => silent || near.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const swallowPresent = () => lines.forEach((silence) => silence());
  return {
    url(direct) {
      const url = new URL(direct);
      url.hostname = '127.0.0.1';
      url.port = String((server.address() as AddressInfo).port);
      return url.href;
    },
    swallowPresent,
    swallowAll() {
      open = false;
      swallowPresent();
    },
    heal() {
      open = true;
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
