import net from 'node:net';

/**
 * A TCP proxy in front of Postgres that delivers every chunk `delayMs` after it came, in each direction: in order, nothing lost,
 * no limit on throughput. It also counts what the server says: `ReadyForQuery` ends a round trip, since the driver sends
 * nothing before it. Those that end with a DISCARD are counted apart: the engine resets a session
 * behind the caller's back.
 */
export async function startDelayProxy({ port: targetPort, delayMs }) {
  const counts = { answers: 0, resets: 0 };
  const sockets = new Set();
  const server = net.createServer({ noDelay: true }, (client) => {
    const upstream = net.connect({ port: targetPort, host: '127.0.0.1', noDelay: true });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ]) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => sockets.delete(socket));
    }
    deliver(client, upstream, delayMs);
    deliver(upstream, client, delayMs, createCounter(counts));
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: 0, host: '127.0.0.1' }, resolve);
  });
  return {
    port: server.address().port,
    counts: () => ({ ...counts }),
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** One queue per direction with the time at which each chunk is due: a late timer makes the next ones no later. */
function deliver(from, to, delayMs, seen = () => undefined) {
  const queue = [];
  let timer = null;
  const flush = () => {
    timer = null;
    while (queue.length > 0 && queue[0].due <= performance.now() + 0.5) {
      const { chunk } = queue.shift();
      if (chunk === null) to.end();
      else if (to.writable) to.write(chunk);
    }
    if (queue.length > 0) timer = setTimeout(flush, queue[0].due - performance.now());
  };
  const take = (chunk) => {
    queue.push({ chunk, due: performance.now() + delayMs });
    if (delayMs === 0) flush();
    else timer ??= setTimeout(flush, delayMs);
  };
  from.on('data', (chunk) => {
    seen(chunk);
    take(chunk);
  });
  from.on('end', () => take(null));
  from.on('close', () => !from.readableEnded && to.destroy());
}

const READY_FOR_QUERY = 0x5a; // 'Z'
const COMMAND_COMPLETE = 0x43; // 'C'
const HEADER = 5; // one byte of type, four of length, which count themselves

/** Reads the server's messages; without TLS the stream is nothing else. */
function createCounter(counts) {
  let rest = Buffer.alloc(0);
  let skip = 0;
  let reset = false;
  return function count(chunk) {
    let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    if (skip > 0) {
      const passed = Math.min(skip, bytes.length);
      skip -= passed;
      bytes = bytes.subarray(passed);
    }
    while (bytes.length >= HEADER) {
      const type = bytes[0];
      const whole = 1 + bytes.readInt32BE(1);
      if (type === COMMAND_COMPLETE && bytes.length < whole) break; // its tag is wanted whole
      if (type === COMMAND_COMPLETE) reset = bytes.subarray(HEADER, whole).toString('latin1').startsWith('DISCARD');
      if (type === READY_FOR_QUERY) {
        if (reset) counts.resets += 1;
        else counts.answers += 1;
        reset = false;
      }
      if (bytes.length < whole) {
        skip = whole - bytes.length;
        bytes = Buffer.alloc(0);
        break;
      }
      bytes = bytes.subarray(whole);
    }
    rest = Buffer.from(bytes);
  };
}
