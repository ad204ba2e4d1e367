import { randomBytes } from 'node:crypto';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { afterEach, describe, expect, test } from 'vitest';
import { openCodecServer, type CodecServer } from '../../../src/temporal/codec-server.js';
import { createEncryption, type PayloadKey } from '../../../src/temporal/encryption.js';

const keyNamed = (id: string): PayloadKey => ({ id, secret: randomBytes(32) });
const [spring, autumn] = [keyNamed('spring'), keyNamed('autumn')];
const plain = () => defaultPayloadConverter.toPayload({ instance: 'acme-eu' });
const valueOf = (payload: Payload | undefined) => payload && defaultPayloadConverter.fromPayload(payload);

describe('encryption', () => {
  test('what was encrypted is read again, and shows nothing but the name of its key', async () => {
    const codec = createEncryption([spring]);
    const [hidden] = await codec.encode([plain()]);
    expect(Buffer.from(hidden?.data ?? []).toString('latin1')).not.toContain('acme');
    expect(Object.keys(hidden?.metadata ?? {})).toEqual(['encoding', 'encryption-key-id']);
    const [again] = await codec.decode([hidden as Payload]);
    expect(valueOf(again)).toEqual({ instance: 'acme-eu' });
  });

  test('twice the same is not twice the same bytes', async () => {
    const [one, other] = await createEncryption([spring]).encode([plain(), plain()]);
    expect(one?.data).not.toEqual(other?.data);
  });

  test('the first key encrypts, and each decrypts', async () => {
    const [older] = await createEncryption([spring]).encode([plain()]);
    const both = createEncryption([autumn, spring]);
    const [newer] = await both.encode([plain()]);
    expect((await both.decode([older as Payload, newer as Payload])).map(valueOf)).toEqual(
      Array(2).fill({ instance: 'acme-eu' }),
    );
    await expect(createEncryption([spring]).decode([newer as Payload])).rejects.toThrow(
      'encrypted with the key "autumn", and that key is not here (here are: spring)',
    );
  });

  test('what is not encrypted is passed through', async () => {
    expect((await createEncryption([spring]).decode([plain()])).map(valueOf)).toEqual([{ instance: 'acme-eu' }]);
    expect((await createEncryption([]).encode([plain()])).map(valueOf)).toEqual([{ instance: 'acme-eu' }]);
  });

  test('a payload that somebody has changed is not taken for anything', async () => {
    const codec = createEncryption([spring]);
    const [hidden] = await codec.encode([plain()]);
    const data = Buffer.from(hidden?.data ?? []);
    data[20] = (data[20] ?? 0) ^ 1;
    await expect(codec.decode([{ ...hidden, data }])).rejects.toThrow('does not open it');
    await expect(codec.decode([{ ...hidden, data: Buffer.alloc(3) }])).rejects.toThrow('does not open it');
  });
});

describe('the codec server', () => {
  let server: CodecServer;
  const warnings: string[] = [];
  const open = async () => {
    const origins = ['http://localhost:8233'];
    server = await openCodecServer({
      listen: '127.0.0.1:0',
      origins,
      keys: [spring],
      warn: (line) => warnings.push(line),
    });
    return server.url;
  };
  afterEach(() => server.close());

  const inJson = ({ metadata, data }: Payload) => ({
    metadata: Object.fromEntries(
      Object.entries(metadata ?? {}).map(([name, bytes]) => [name, Buffer.from(bytes).toString('base64')]),
    ),
    data: Buffer.from(data ?? []).toString('base64'),
  });
  const ask = (url: string, payloads: readonly Payload[], headers: Record<string, string> = {}) =>
    fetch(url, { method: 'POST', headers, body: JSON.stringify({ payloads: payloads.map(inJson) }) });

  test('decodes what it can and leaves the rest as it is, which it says once', async () => {
    const url = await open();
    const [readable] = await createEncryption([spring]).encode([plain()]);
    const [foreign] = await createEncryption([autumn]).encode([plain()]);
    const asked = [readable, foreign, foreign, plain()] as Payload[];
    const answer = (await (await ask(`${url}/decode`, asked)).json()) as { payloads: object[] };
    const one = inJson(plain());
    expect(answer.payloads).toEqual([one, inJson(foreign as Payload), inJson(foreign as Payload), one]);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('the key "autumn"');
  });

  test('encodes what a form of the Web UI sends', async () => {
    const url = await open();
    const answer = (await (await ask(`${url}/encode`, [plain()])).json()) as { payloads: { data: string }[] };
    expect(Buffer.from(answer.payloads[0]?.data ?? '', 'base64').toString('latin1')).not.toContain('acme');
  });

  test('a page of another origin is refused, by the server too', async () => {
    const url = await open();
    const [hidden] = await createEncryption([spring]).encode([plain()]);
    const foreign = await ask(`${url}/decode`, [hidden as Payload], { origin: 'https://evil.example' });
    expect(foreign.status).toBe(403);
    expect(foreign.headers.get('access-control-allow-origin')).toBeNull();
    expect(await foreign.text()).not.toContain('acme');
    const headers = { origin: 'http://localhost:8233', 'access-control-request-headers': 'content-type,x-namespace' };
    const preflight = await fetch(`${url}/decode`, { method: 'OPTIONS', headers });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-origin')).toBe('http://localhost:8233');
    expect(preflight.headers.get('access-control-allow-headers')).toBe('content-type,x-namespace');
  });

  test('nonsense is answered, not fallen over', async () => {
    const url = await open();
    expect((await fetch(`${url}/decode`, { method: 'POST', body: 'nonsense' })).status).toBe(400);
    expect((await fetch(`${url}/decode`)).status).toBe(404);
    expect((await fetch(`${url}/keys`, { method: 'POST' })).status).toBe(404);
    expect((await fetch(`${url}/constructor`, { method: 'POST', body: '{}' })).status).toBe(404);
  });
});
