import net from 'node:net';
import { createWireReader, type WireMessage } from './wire-message.js';

/** Where a connection is to stop: before the message goes on to the other side. */
export interface HoldPoint {
  readonly database: string;
  readonly when: (message: WireMessage) => boolean;
}

/** One message that waits in the proxy, with all that follows it in the same direction. */
export interface Hold {
  /** A message waits here now. A client that gives its connection up takes the message along, and the next one is waited for. */
  isReached(): boolean;
  /** The message goes on, as if the network had been slow; nobody waits here any more. */
  release(): void;
  /** The message never arrives: both ends of its connection are cut. */
  drop(): void;
}

export interface ProxyOptions {
  readonly port: number;
  /** Read the Postgres wire protocol; without it bytes pass unread. */
  readonly wire: boolean;
}

/** A TCP proxy on 127.0.0.1 that can act at an exact message, or on all connections at once. */
export interface Proxy {
  readonly port: number;
  /** The same connection string, through the proxy. */
  url(direct: string): string;
  hold(point: HoldPoint): Hold;
  /** Every such message of every connection waits, until the function that is returned is called. */
  holdAll(when: HoldPoint['when']): () => void;
  /** Cuts the connections of now, both ends. */
  cut(database?: string): void;
  /** New connections are refused from now on, or accepted again. */
  refuse(on: boolean): void;
  /** A black hole: connections stay, new ones are accepted, and nothing passes, in either direction; off: all that waits passes. */
  stall(on: boolean): void;
  /** The connections of now go silent for good, as after a lost NAT entry; new ones work. */
  silence(): void;
  /** Where new connections lead from now on. */
  retarget(port: number): void;
  connections(): number;
  close(): Promise<void>;
}

interface Connection {
  readonly client: net.Socket;
  readonly server: net.Socket;
  readonly toServer: Direction;
  readonly toClient: Direction;
  database(): string;
}

export async function startProxy({ port: target, wire }: ProxyOptions): Promise<Proxy> {
  let targetPort = target;
  let refusing = false;
  let stalled = false;
  const connections = new Set<Connection>();
  const holds = new Set<ArmedHold>();

  const listener = net.createServer({ noDelay: true, pauseOnConnect: true }, (client) => {
    if (refusing) {
      client.on('error', () => undefined);
      client.resetAndDestroy();
      return;
    }
    const server = net.connect({ port: targetPort, host: '127.0.0.1', noDelay: true });
    const reader = wire ? createWireReader() : null;
    const holdOf = (message: WireMessage) => [...holds].find((hold) => hold.wants(message, reader?.database() ?? ''));
    const connection: Connection = {
      client,
      server,
      toServer: createDirection(server, reader === null ? null : (bytes) => reader.fromClient(bytes), holdOf),
      toClient: createDirection(client, reader === null ? null : (bytes) => reader.fromServer(bytes), holdOf),
      database: () => reader?.database() ?? '',
    };
    connections.add(connection);
    if (stalled) setStalled(connection, true);
    const end = () => {
      if (!connections.delete(connection)) return;
      connection.toServer.end();
      connection.toClient.end();
      client.destroy();
    };
    client.on('error', () => undefined); // a killed client resets its connection: as closed, and so the server hears of it
    server.on('error', end);
    client.on('data', (bytes: Buffer) => connection.toServer.take(bytes));
    server.on('data', (bytes: Buffer) => connection.toClient.take(bytes));
    client.on('close', () => {
      // What the client had sent is on its way, as it would be in the network: the server still gets it, unless it is held.
      // Until then it is one of the connections: a held one can be let go, and a silent one cut.
      connection.toServer.finish(() => {
        connections.delete(connection);
        server.destroy();
      });
      connection.toClient.end();
    });
    server.on('close', () => connection.toClient.finish(end));
    client.resume();
  });
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject);
    listener.listen({ port: 0, host: '127.0.0.1' }, () => resolve());
  });
  const { port } = listener.address() as net.AddressInfo;

  const destroy = (connection: Connection) => {
    connections.delete(connection);
    connection.toServer.end();
    connection.toClient.end();
    connection.client.resetAndDestroy();
    connection.server.resetAndDestroy();
  };

  return {
    port,
    url(direct) {
      const url = new URL(direct);
      url.port = String(port);
      return url.href;
    },
    hold(point) {
      const hold = createHold(point, () => holds.delete(hold));
      holds.add(hold);
      return hold;
    },
    holdAll(when) {
      const all = createHoldOfAll(when, () => holds.delete(all));
      holds.add(all);
      return all.release;
    },
    cut(database) {
      for (const connection of [...connections]) {
        if (database === undefined || connection.database() === database) destroy(connection);
      }
    },
    refuse(on) {
      refusing = on;
    },
    stall(on) {
      stalled = on;
      for (const connection of connections) setStalled(connection, on);
    },
    silence() {
      for (const connection of connections) setStalled(connection, true);
    },
    retarget(next) {
      targetPort = next;
    },
    connections: () => connections.size,
    async close() {
      for (const connection of [...connections]) destroy(connection);
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}

function setStalled({ toServer, toClient }: Connection, on: boolean): void {
  toServer.stall(on);
  toClient.stall(on);
}

interface ArmedHold extends Hold {
  wants(message: WireMessage, database: string): boolean;
  take(direction: Direction): void;
  lose(direction: Direction): void;
}

function createHold({ database, when }: HoldPoint, disarm: () => void): ArmedHold {
  let held: Direction | null = null;
  return {
    wants: (message, of) => held === null && of === database && when(message),
    take(direction) {
      held = direction;
    },
    lose(direction) {
      if (held === direction) held = null;
    },
    isReached: () => held !== null,
    release() {
      disarm();
      held?.letGo();
      held = null;
    },
    drop() {
      disarm();
      held?.cut();
      held = null;
    },
  };
}

function createHoldOfAll(when: HoldPoint['when'], disarm: () => void): ArmedHold {
  const held = new Set<Direction>();
  const end = (how: (direction: Direction) => void) => () => {
    disarm();
    const all = [...held];
    held.clear();
    all.forEach(how);
  };
  return {
    wants: (message) => when(message),
    take: (direction) => void held.add(direction),
    lose: (direction) => void held.delete(direction),
    isReached: () => held.size > 0,
    release: end((direction) => direction.letGo()),
    drop: end((direction) => direction.cut()),
  };
}

interface Direction {
  take(bytes: Buffer): void;
  stall(on: boolean): void;
  letGo(): void;
  cut(): void;
  /** The sender is gone: after what still waits has passed, `then`. */
  finish(then: () => void): void;
  /** Nothing passes any more; what waits is lost. */
  end(): void;
}

type Read = (bytes: Buffer) => readonly WireMessage[];

/** One way of a connection: an ordered queue that stops at a held message, or as a whole. */
function createDirection(
  to: net.Socket,
  read: Read | null,
  holdOf: (message: WireMessage) => ArmedHold | undefined,
): Direction {
  const queue: WireMessage[] = [];
  let hold: ArmedHold | null = null;
  let stalled = false;
  let ended = false;
  let finished: (() => void) | null = null;

  const self: Direction = {
    take(bytes) {
      if (ended) return;
      queue.push(
        ...(read === null ? [{ side: 'client', type: '', text: '', query: '', bytes } as const] : read(bytes)),
      );
      flush();
    },
    stall(on) {
      stalled = on;
      flush();
    },
    letGo() {
      hold = null;
      flush(true);
    },
    cut() {
      const then = finished;
      self.end();
      to.resetAndDestroy();
      then?.();
    },
    finish(then) {
      finished = then;
      flush();
    },
    end() {
      ended = true;
      queue.length = 0;
      hold?.lose(self);
      hold = null;
    },
  };

  /** `first`: the message at the head was held and is let go. */
  function flush(first = false): void {
    for (let passing = first; !ended && !stalled && hold === null && queue.length > 0; passing = false) {
      const message = queue[0] as WireMessage;
      const wanted = passing || read === null ? undefined : holdOf(message);
      if (wanted !== undefined) {
        hold = wanted;
        wanted.take(self);
        return;
      }
      queue.shift();
      if (to.writable) to.write(message.bytes);
    }
    if (!ended && !stalled && hold === null && queue.length === 0 && finished !== null) {
      const then = finished;
      finished = null;
      ended = true;
      if (to.writable) to.end(then);
      else then();
    }
  }
  return self;
}
