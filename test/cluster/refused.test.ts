import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect } from '../../src/temporal/connection.js';
import { openTemporalCluster, type TemporalCluster } from './temporal-cluster.js';

/** What of the environment is another; null: it is not there. */
type Change = Readonly<Record<string, string | null>>;

let cluster: TemporalCluster;
let brokenKey: string;

beforeAll(async () => {
  cluster = await openTemporalCluster();
  brokenKey = path.join(cluster.folder, 'broken.key');
  await writeFile(brokenKey, 'no key');
}, 240_000);

afterAll(() => cluster?.close(), 60_000);

async function told(change: Change): Promise<string> {
  const env = { ...cluster.env, TEMPORAL_NAMESPACE: 'temporal-system', ...change };
  const given = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== null);
  return connect({}, { env: Object.fromEntries(given) }).then(
    async (connection) => {
      await connection.close();
      return 'let in';
    },
    (error: Error) => error.message,
  );
}

const NO_CERTIFICATE = { TEMPORAL_TLS_CLIENT_CERT_PATH: null, TEMPORAL_TLS_CLIENT_KEY_PATH: null };
const NO_TLS = { ...NO_CERTIFICATE, TEMPORAL_TLS_SERVER_CA_CERT_PATH: null, TEMPORAL_TLS_SERVER_NAME: null };

const REFUSED: readonly (readonly [who: string, change: () => Change, found: string, next: string])[] = [
  [
    'without a certificate',
    () => NO_CERTIFICATE,
    'asks for a client certificate, and there is none',
    'Set "tls.client_cert_path" and "tls.client_key_path" of the profile (TEMPORAL_TLS_CLIENT_CERT_PATH, ',
  ],
  [
    'with a certificate without its key',
    () => ({ TEMPORAL_TLS_CLIENT_KEY_PATH: null }),
    "it has a client's certificate, but no key",
    'Look at temporal.toml with "temporal config list" and at the TEMPORAL_* variables',
  ],
  [
    'with the certificate of another authority',
    () => {
      const { cert, key } = cluster.certificates.stranger;
      return { TEMPORAL_TLS_CLIENT_CERT_PATH: cert, TEMPORAL_TLS_CLIENT_KEY_PATH: key };
    },
    'does not take our client certificate (ERR_SSL_TLSV1_ALERT_UNKNOWN_CA)',
    'It must be signed by an authority that the server knows as one of clients',
  ],
  [
    'with the key of another certificate',
    () => ({ TEMPORAL_TLS_CLIENT_KEY_PATH: cluster.certificates.stranger.key }),
    'our own certificates cannot be used (ERR_OSSL_X509_KEY_VALUES_MISMATCH)',
    'See that "tls.client_cert_path" and "tls.client_key_path" are a pair',
  ],
  [
    'with a key that is none',
    () => ({ TEMPORAL_TLS_CLIENT_KEY_PATH: brokenKey }),
    'our own certificates cannot be used',
    'that each is in PEM form',
  ],
  [
    'that trusts another authority',
    () => ({ TEMPORAL_TLS_SERVER_CA_CERT_PATH: cluster.certificates.stranger.ca }),
    'shows a certificate that no authority known here has signed',
    'Set "tls.server_ca_cert_path" of the profile (TEMPORAL_TLS_SERVER_CA_CERT_PATH)',
  ],
  [
    'that expects another name',
    () => ({ TEMPORAL_TLS_SERVER_NAME: 'other.test' }),
    'shows a certificate for DNS:temporal.pg-unwind.test, and not for "other.test"',
    'Set "tls.server_name" of the profile (TEMPORAL_TLS_SERVER_NAME)',
  ],
  [
    'that expects the address as the name',
    () => ({ TEMPORAL_TLS_SERVER_NAME: null }),
    'shows a certificate for DNS:temporal.pg-unwind.test, and not for "127.0.0.1"',
    'Set "tls.server_name" of the profile (TEMPORAL_TLS_SERVER_NAME)',
  ],
  ['without TLS', () => NO_TLS, 'speaks TLS only, and TLS is off here', 'Give the profile a "tls" table'],
  [
    'of a namespace that is not there',
    () => ({ TEMPORAL_NAMESPACE: 'nope' }),
    'has no namespace "nope"',
    'temporal operator namespace create --namespace nope --retention 30d --address 127.0.0.1:',
  ],
];

describe('who is not let in is told why, and what to do', () => {
  test('with everything right, a client is let in', async () => {
    expect(await told({})).toBe('let in');
  });

  test.each(REFUSED)('a client %s', async (_who, change, found, next) => {
    const message = await told(change());
    expect(message).toContain(found);
    expect(message).toContain('Nothing was done.');
    expect(message).toContain(next);
  });
});
