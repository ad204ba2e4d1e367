import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, expect, inject, test } from 'vitest';
import { connect, resolveTarget } from '../../src/temporal/connection.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'pg-unwind-toml-'));
afterAll(() => rmSync(folder, { recursive: true }));
const toml = path.join(folder, 'temporal.toml');
writeFileSync(
  toml,
  `[profile.default]\naddress = "default.example:7233"\n[profile.prod]\naddress = "prod.example:7233"\nnamespace = "unwind"\n`,
);

test('the configuration goes before the environment, the environment before the profile', () => {
  const env = { TEMPORAL_CONFIG_FILE: toml };
  expect(resolveTarget({}, { env })).toMatchObject({ address: 'default.example:7233', namespace: 'default' });
  expect(resolveTarget({ profile: 'prod' }, { env })).toMatchObject({
    address: 'prod.example:7233',
    namespace: 'unwind',
  });
  expect(resolveTarget({}, { env: { ...env, TEMPORAL_ADDRESS: 'env.example:1' } }).address).toBe('env.example:1');
  const settings = { address: 'yaml.example:1', namespace: 'n' };
  expect(resolveTarget(settings, { env: { ...env, TEMPORAL_ADDRESS: 'env.example:1' } })).toMatchObject(settings);
});

test('a profile that is not there is an error that names it', () => {
  expect(() => resolveTarget({ profile: 'nope' }, { env: { TEMPORAL_CONFIG_FILE: toml } })).toThrow(
    /profile "nope" cannot be used/,
  );
});

test('it connects to the server and namespace that the settings name', async () => {
  const { address, namespace } = inject('temporal');
  const opened = await connect({ address, namespace }, { env: {} });
  expect(opened).toMatchObject({ address, namespace });
  await opened.close();
});

test('a server that does not answer is named, with what to do', async () => {
  const nobody = connect({ address: '127.0.0.1:9' }, { env: {}, connectTimeoutMs: 500 });
  await expect(nobody).rejects.toThrow(/No Temporal server answers at 127\.0\.0\.1:9 .*Start one with "pg-unwind dev"/);
});

test('a namespace that is not there is named, with the command that creates it', async () => {
  const { address } = inject('temporal');
  await expect(connect({ address, namespace: 'nope' }, { env: {} })).rejects.toThrow(
    `temporal operator namespace create --namespace nope --retention 30d --address ${address}`,
  );
});

test('a server without TLS is told from one that is not there, when an API key asks for TLS', async () => {
  const { address, namespace } = inject('temporal');
  const secured = connect({ address, namespace }, { env: { TEMPORAL_API_KEY: 'sesame' } });
  await expect(secured).rejects.toThrow(`The Temporal server at ${address} does not speak TLS`);
  const plain = await connect({ address, namespace }, { env: { TEMPORAL_API_KEY: 'sesame', TEMPORAL_TLS: 'false' } });
  await plain.close();
});
