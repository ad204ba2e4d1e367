import { readFile } from 'node:fs/promises';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { SERVER_NAME } from './certificates.js';
import type { TemporalCluster } from './temporal-cluster.js';

/** Lets in who shows the API key, as a hosted Temporal does: TLS without client certificates, and a bearer token with every call. */
export interface Gateway {
  readonly address: string;
  /** The calls that were let in, by name: "StartWorkflowExecution". */
  readonly served: ReadonlySet<string>;
  /** What stood in place of the key in those that were not. */
  readonly refused: ReadonlySet<string>;
  close(): Promise<void>;
}

const UNAUTHENTICATED = {
  ':status': 200,
  'content-type': 'application/grpc',
  'grpc-status': '16',
  'grpc-message': 'Request unauthorized.',
};

export async function openGateway(cluster: TemporalCluster, apiKey: string): Promise<Gateway> {
  const { ca, server, client } = cluster.certificates;
  const [authority, cert, key, clientCert, clientKey] = await Promise.all(
    [ca.cert, server.cert, server.key, client.cert, client.key].map((file) => readFile(file)),
  );
  const behind = http2.connect(`https://${cluster.address}`, {
    ...{ ca: authority, cert: clientCert, key: clientKey, servername: SERVER_NAME },
  });
  behind.on('error', () => undefined); // a call under way reports it
  const served = new Set<string>();
  const refused = new Set<string>();
  const sessions = new Set<http2.Http2Session>();
  const front = http2.createSecureServer({ cert, key });
  front.on('session', (session) => sessions.add(session));
  front.on('stream', (stream, headers) => {
    stream.on('error', () => undefined); // the client hung up
    if (headers.authorization !== `Bearer ${apiKey}`) {
      refused.add(headers.authorization ?? 'nothing');
      return stream.respond(UNAUTHENTICATED, { endStream: true });
    }
    served.add(headers[':path']?.split('/').at(-1) ?? '');
    forward(stream, behind.request({ ...headers, ':authority': SERVER_NAME }));
  });
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(front.address() as AddressInfo).port}`,
    served,
    refused,
    async close() {
      const closed = new Promise<void>((resolve) => front.close(() => resolve()));
      for (const session of sessions) session.destroy();
      behind.destroy();
      await closed;
    },
  };
}

function forward(stream: http2.ServerHttp2Stream, call: http2.ClientHttp2Stream): void {
  let trailers: http2.IncomingHttpHeaders = {};
  call.on('error', () => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR));
  stream.on('close', () => call.close());
  stream.pipe(call);
  call.on('trailers', (told) => (trailers = told));
  call.on('response', (told, flags) => {
    if (stream.destroyed) return;
    const endStream = (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0; // an error without an answer
    stream.respond(told, endStream ? { endStream } : { waitForTrailers: true });
    if (endStream) return;
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    call.pipe(stream);
  });
}
