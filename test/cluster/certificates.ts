import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

/** A certificate with its key, as files. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

export interface Certificates {
  /** Signed all of these but `stranger`. */
  readonly ca: Pair;
  /** Of the frontend, and between the services; in the name of `SERVER_NAME` alone, so no address stands for it. */
  readonly server: Pair;
  readonly client: Pair;
  /** A client's, and the authority that signed it, of which the server knows nothing. */
  readonly stranger: Pair & { readonly ca: string };
}

export const SERVER_NAME = 'temporal.pg-unwind.test';

/** Makes them anew, with the `openssl` command; they are valid for two days. */
export async function makeCertificates(folder: string): Promise<Certificates> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const ca = await authority(folder, 'ca');
  const strangers = await authority(folder, 'strangers-ca');
  return {
    ca,
    server: await signed(
      folder,
      'server',
      ca,
      `subjectAltName=DNS:${SERVER_NAME}\nextendedKeyUsage=serverAuth,clientAuth`,
    ),
    client: await signed(folder, 'client', ca, 'extendedKeyUsage=clientAuth'),
    stranger: { ...(await signed(folder, 'stranger', strangers, 'extendedKeyUsage=clientAuth')), ca: strangers.cert },
  };
}

function pairOf(folder: string, name: string): Pair {
  return { cert: path.join(folder, `${name}.pem`), key: path.join(folder, `${name}.key`) };
}

async function authority(folder: string, name: string): Promise<Pair> {
  const pair = pairOf(folder, name);
  const made = ['-x509', '-days', '2', '-subj', `/CN=pg-unwind test ${name}`, '-keyout', pair.key, '-out', pair.cert];
  await openssl('req', ...NEW_KEY, ...made, '-addext', 'keyUsage=critical,keyCertSign,cRLSign');
  return pair;
}

async function signed(folder: string, name: string, by: Pair, extensions: string): Promise<Pair> {
  const pair = pairOf(folder, name);
  const [request, more] = [path.join(folder, `${name}.csr`), path.join(folder, `${name}.ext`)];
  await writeFile(more, `basicConstraints=CA:FALSE\n${extensions}\n`);
  await openssl('req', ...NEW_KEY, '-subj', `/CN=pg-unwind test ${name}`, '-keyout', pair.key, '-out', request);
  const from = ['-in', request, '-CA', by.cert, '-CAkey', by.key, '-CAcreateserial'];
  await openssl('x509', '-req', ...from, '-days', '2', '-extfile', more, '-out', pair.cert);
  return pair;
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-sha256'];

async function openssl(...args: string[]): Promise<void> {
  await promisify(execFile)('openssl', args).catch((error: NodeJS.ErrnoException & { stderr?: string }) => {
    throw new Error(
      error.code === 'ENOENT'
        ? 'The command "openssl" makes the certificates of this test and is not here: install it ("apt-get install openssl").'
        : `openssl ${args[0]} failed: ${error.stderr ?? error.message}`,
    );
  });
}
