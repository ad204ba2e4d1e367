// node examples/shop/app/deployer.mjs --databases <folder> --secret-file <file> [--port 0] [--app-port 0]
//
// Deploys the shop's application when a run of pg-unwind says so: the receiving end of the hooks in pg-unwind.yaml.
//
//   before   the databases are about to move: stops the application. 200
//   atStop   the databases stand at `release`: starts its application. 202, because it serves now, and the databases must not
//            move below it: whoever wants the run to go on stops it first (ask.mjs) and sends the run "continue"
//   after    the run is over: starts the application of `release`. 200
//
// A request without a right signature is answered with 401, one that has been answered before with the same answer and nothing
// done, and one whose application does not come up with 500; the run asks again then. GET / says what runs.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { createApplication } from './application.mjs';
import { refusalOf } from './standard-webhooks.mjs';

const LARGEST_BODY = 100_000;
const ANSWERS_KEPT = 1_000;

const { values: options } = parseArgs({
  options: {
    databases: { type: 'string' },
    'secret-file': { type: 'string' },
    port: { type: 'string', default: '0' },
    'app-port': { type: 'string', default: '0' },
  },
});
if (options.databases === undefined || options['secret-file'] === undefined) {
  console.error('Usage: node deployer.mjs --databases <folder> --secret-file <file> [--port 0] [--app-port 0]');
  process.exit(2);
}

const secret = readFileSync(options['secret-file'], 'utf8').trim();
const application = createApplication({
  databases: options.databases,
  port: Number(options['app-port']),
  log: (line) => console.log(line),
});
const answers = new Map();
let last = Promise.resolve();

const server = createServer((request, response) => void serve(request, response));
server.on('error', (error) => {
  console.error(`The deployer cannot listen: ${error.message}`);
  process.exit(1);
});
server.listen(Number(options.port), '127.0.0.1', () => {
  console.log(`deployer listens on http://127.0.0.1:${server.address().port}`);
});
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => void end());

async function serve(request, response) {
  const { status, body } = await answer(request).catch((error) => ({ status: 500, body: { error: error.message } }));
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
  response.end(`${JSON.stringify(body)}\n`);
}

async function answer(request) {
  if (request.method === 'GET') return { status: 200, body: application.state() };
  const body = await readBody(request);
  if (body === null) return { status: 413, body: { error: 'the body is too large' } };
  const refusal = refusalOf(secret, request.headers, body);
  if (refusal !== null) {
    console.log(`refused: ${refusal}`);
    return { status: 401, body: { error: refusal } };
  }
  const wish = wishIn(body);
  if (wish === null) return { status: 400, body: { error: 'no hook that this deployer knows' } };
  return once(request.headers['webhook-id'], wish);
}

/** The answer to a key is kept, and so is one that is still being worked at; a failure is not: a repeat tries it again. */
function once(key, wish) {
  const earlier = answers.get(key);
  if (earlier !== undefined) {
    console.log(`asked again (${key}): nothing to do`);
    return earlier;
  }
  const result = inTurn(() => carryOut(wish));
  answers.set(key, result);
  if (answers.size > ANSWERS_KEPT) answers.delete(answers.keys().next().value);
  result.catch((error) => {
    answers.delete(key);
    console.log(`failed: ${error.message}`);
  });
  return result;
}

function inTurn(work) {
  const result = last.then(work);
  last = result.catch(() => undefined);
  return result;
}

function wishIn(body) {
  try {
    const { hook, release } = JSON.parse(body);
    if (hook === 'before') return { hook };
    return (hook === 'atStop' || hook === 'after') && typeof release === 'string' ? { hook, release } : null;
  } catch {
    return null;
  }
}

async function carryOut({ hook, release }) {
  if (hook === 'before') return { status: 200, body: await application.stop() };
  return { status: hook === 'atStop' ? 202 : 200, body: await application.deploy(release) };
}

async function readBody(request) {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk;
    if (text.length > LARGEST_BODY) return null;
  }
  return text;
}

async function end() {
  server.close();
  await inTurn(() => application.stop());
  process.exit(0);
}
