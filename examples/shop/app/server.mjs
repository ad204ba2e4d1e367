// node examples/shop/app/server.mjs --release v3.0.0 --databases <folder> [--port 0]
//
// The shop as a service, as its release published it: GET /orders, /customers, /sites and /healthz, POST /orders. <folder> holds
// the connection strings, frontend.url and orders.url. What Postgres answers to a query of another release's schema is passed on
// as it is: status 500 and {"release", "error": {"code", "message"}}.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { queriesOf, RELEASES } from './queries.mjs';

const DATABASES = ['frontend', 'orders'];
const LARGEST_BODY = 100_000;

const { values: options } = parseArgs({
  options: {
    release: { type: 'string' },
    databases: { type: 'string' },
    port: { type: 'string', default: '0' },
  },
});
const release = options.release ?? '';
if (!(release in RELEASES) || options.databases === undefined) {
  console.error(
    `Usage: node server.mjs --release <${Object.keys(RELEASES).join(' | ')}> --databases <folder> [--port 0]`,
  );
  process.exit(2);
}

const queries = queriesOf(RELEASES[release]);
const pools = Object.fromEntries(DATABASES.map((database) => [database, openPool(database)]));
const server = createServer((request, response) => void serve(request, response));
server.on('error', (error) => {
  console.error(`shop ${release} cannot listen: ${error.message}`);
  process.exit(1);
});
server.listen(Number(options.port), '127.0.0.1', () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  console.log(`shop ${release} listens on ${url}`);
  process.send?.({ listens: url });
});

for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => void stop());
process.once('disconnect', () => void stop()); // whoever started us is gone

function openPool(database) {
  const connectionString = readFileSync(path.join(options.databases, `${database}.url`), 'utf8').trim();
  const pool = new pg.Pool({
    connectionString,
    max: 4,
    application_name: `shop ${release}`,
    connectionTimeoutMillis: 5_000,
  });
  pool.on('error', () => undefined); // an idle session that the server ended: the next request opens another
  return pool;
}

async function serve(request, response) {
  const { status, body } = await answer(request).catch((error) => ({
    status: error.status ?? 500,
    body: { error: { code: error.code ?? null, message: error.message } },
  }));
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify({ release, ...body })}\n`);
}

async function answer(request) {
  const { pathname } = new URL(request.url, 'http://shop');
  if (request.method === 'GET' && pathname === '/healthz') {
    await Promise.all(Object.values(pools).map((pool) => pool.query('select 1')));
    return { status: 200, body: {} };
  }
  const query = queries[`${request.method} ${pathname}`];
  if (query === undefined) return refuse(404, `there is no ${request.method} ${pathname}`);
  if (request.method === 'GET') {
    const { rows } = await pools[query.database].query(query.text);
    return { status: 200, body: { rows } };
  }
  const fields = await readBody(request);
  const { rows } = await pools[query.database].query(
    query.text,
    query.values.map((field) => fields[field] ?? null),
  );
  return rows.length > 0 ? { status: 201, body: rows[0] } : refuse(422, 'there is no such product');
}

async function readBody(request) {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk;
    if (text.length > LARGEST_BODY) refuse(413, 'the body is too large');
  }
  try {
    return Object(JSON.parse(text));
  } catch {
    return refuse(400, 'the body is not JSON');
  }
}

function refuse(status, message) {
  throw Object.assign(new Error(message), { status });
}

/** Answers what was asked already, and leaves no session in a database behind. */
async function stop() {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  setTimeout(() => server.closeAllConnections(), 3_000).unref();
  await closed;
  await Promise.all(Object.values(pools).map(endOf));
  process.exit(0);
}

/** The end of a pool is not that of its sessions: the server's good-bye to each comes later, as `remove`. */
async function endOf(pool) {
  let open = pool.totalCount;
  const gone = new Promise((resolve) => {
    pool.on('remove', () => --open === 0 && resolve());
    if (open === 0) resolve();
  });
  await Promise.all([pool.end(), gone]);
}
