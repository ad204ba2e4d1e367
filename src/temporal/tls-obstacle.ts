import net from 'node:net';
import tls from 'node:tls';
import type { NativeConnectionOptions } from '@temporalio/worker';

/** What stands between us and a server that listens: what was found, and what to do about it. */
export interface TlsObstacle {
  readonly found: string;
  readonly remedy: string;
}

type TlsOptions = NativeConnectionOptions['tls'];

/** A server that lets us in says so at once: HTTP/2 begins with its settings. */
const ANSWER_WITHIN_MS = 3_000;

/**
 * Looks at the door that gRPC could not open, and whose client says no more than that time has passed: one handshake of our own, with
 * the same certificates. @returns null: nothing is wrong with TLS, or nobody listens.
 */
export async function findTlsObstacle(address: string, settings: TlsOptions): Promise<TlsObstacle | null> {
  const at = /^(?:\[(.+)\]|(.+)):(\d+)$/.exec(address);
  if (at === null) return null;
  const where = { host: at[1] ?? at[2] ?? '', port: Number(at[3]) };
  if (settings === undefined || settings === null || settings === false) {
    const shaken = await shakeHands({ ...where, rejectUnauthorized: false });
    return shaken.secured ? WANTS_TLS : null;
  }
  const ours = settings === true ? {} : settings;
  const name = ours.serverNameOverride ?? where.host;
  const { secured, answered, error } = await shakeHands({
    ...where,
    ...(net.isIP(name) ? {} : { servername: name }),
    checkServerIdentity: (_host, certificate) => tls.checkServerIdentity(name, certificate),
    ...(ours.serverRootCACertificate ? { ca: Buffer.from(ours.serverRootCACertificate) } : {}),
    ...(ours.clientCertPair
      ? { cert: Buffer.from(ours.clientCertPair.crt), key: Buffer.from(ours.clientCertPair.key) }
      : {}),
  });
  if (answered || error === null) return null;
  return obstacleOf(error, { name, secured, showsCertificate: ours.clientCertPair !== undefined });
}

interface Shaken {
  /** The handshake was ended from our side. With TLS 1.3 the server may refuse our certificate afterwards. */
  readonly secured: boolean;
  /** The server said something over it. */
  readonly answered: boolean;
  readonly error: NodeJS.ErrnoException | null;
}

function shakeHands(options: tls.ConnectionOptions): Promise<Shaken> {
  return new Promise((resolve) => {
    let socket: tls.TLSSocket;
    let secured = false;
    const end = (answered: boolean, error: Error | null) => {
      clearTimeout(timer);
      socket?.destroy();
      resolve({ secured, answered, error });
    };
    const timer = setTimeout(() => end(false, null), ANSWER_WITHIN_MS);
    try {
      socket = tls.connect({ ...options, ALPNProtocols: ['h2'] });
    } catch (error) {
      return end(false, error as Error); // a certificate or key that OpenSSL does not take
    }
    socket.once('secureConnect', () => (secured = true));
    socket.once('data', () => end(true, null));
    socket.once('error', (error) => end(false, error));
    socket.once('close', () => end(false, secured ? new Error('it closed the connection') : null));
  });
}

const WANTS_TLS: TlsObstacle = {
  found: 'speaks TLS only, and TLS is off here',
  remedy:
    'Give the profile a "tls" table with what the server asks for, or set TEMPORAL_TLS=true and the other TEMPORAL_TLS_* variables',
};

/** Node's codes (manual of OpenSSL, "verify" and "alerts") by what the operator can do about them. */
const UNTRUSTED = /SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|CERT_UNTRUSTED|INVALID_CA|CERT_SIGNATURE/;
const OUT_OF_DATE = /^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/;
const PLAIN = /WRONG_VERSION_NUMBER|PACKET_LENGTH|RECORD_LAYER/;
const OUR_FILES = /^ERR_OSSL_|KEY_VALUES_MISMATCH|NO_START_LINE/;

function obstacleOf(
  error: NodeJS.ErrnoException,
  { name, secured, showsCertificate }: { name: string; secured: boolean; showsCertificate: boolean },
): TlsObstacle | null {
  const code = error.code ?? '';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const { cert } = error as { cert?: { subjectaltname?: string } };
    return {
      found: `shows a certificate for ${cert?.subjectaltname ?? 'another name'}, and not for "${name}"`,
      remedy:
        'Set "tls.server_name" of the profile (TEMPORAL_TLS_SERVER_NAME) to a name that the certificate holds, or the address to one',
    };
  }
  if (UNTRUSTED.test(code)) {
    return {
      found: `shows a certificate that no authority known here has signed (${code})`,
      remedy:
        'Set "tls.server_ca_cert_path" of the profile (TEMPORAL_TLS_SERVER_CA_CERT_PATH) to the certificate of the authority that signed it',
    };
  }
  if (OUT_OF_DATE.test(code)) {
    return {
      found: `shows a certificate that is not valid at this time (${code})`,
      remedy: 'Renew it, and see that the clocks are right',
    };
  }
  if (PLAIN.test(code)) {
    return {
      found: 'does not speak TLS, and the profile asks for it (an API key does too)',
      remedy: 'Set "tls.disabled" of the profile to true (TEMPORAL_TLS=false), or the address to a port with TLS',
    };
  }
  if (OUR_FILES.test(code)) {
    return {
      found: `was not asked: our own certificates cannot be used (${code})`,
      remedy: 'See that "tls.client_cert_path" and "tls.client_key_path" are a pair, and that each is in PEM form',
    };
  }
  if (!secured && !/ALERT/.test(code)) return null; // of the network
  return showsCertificate
    ? {
        found: `does not take our client certificate (${code || error.message})`,
        remedy:
          'It must be signed by an authority that the server knows as one of clients, and be valid: see "tls.client_cert_path" of the profile (TEMPORAL_TLS_CLIENT_CERT_PATH)',
      }
    : {
        found: `asks for a client certificate, and there is none (${code || error.message})`,
        remedy:
          'Set "tls.client_cert_path" and "tls.client_key_path" of the profile (TEMPORAL_TLS_CLIENT_CERT_PATH, TEMPORAL_TLS_CLIENT_KEY_PATH)',
      };
}
