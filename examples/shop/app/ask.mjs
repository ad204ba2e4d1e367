// node examples/shop/app/ask.mjs <url of the deployer> --secret-file <file> stop
// node examples/shop/app/ask.mjs <url of the deployer> --secret-file <file> deploy v3.0.0
//
// The operator's own word to the deployer, signed as a run signs its hooks.

import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { signedHeaders } from './standard-webhooks.mjs';

const { values, positionals } = parseArgs({ options: { 'secret-file': { type: 'string' } }, allowPositionals: true });
const [url, what, release] = positionals;
const hook = { stop: 'before', deploy: 'after' }[what];
if (url === undefined || hook === undefined || values['secret-file'] === undefined) {
  console.error('Usage: node ask.mjs <url of the deployer> --secret-file <file> stop | deploy <release>');
  process.exit(2);
}

const secret = readFileSync(values['secret-file'], 'utf8').trim();
const body = JSON.stringify({ hook, release });
const response = await fetch(url, {
  method: 'POST',
  body,
  headers: signedHeaders(secret, `ask_${randomUUID()}`, body),
});
console.log((await response.text()).trim());
process.exitCode = response.ok ? 0 : 1;
