/** A message of the Postgres wire protocol, version 3 (PostgreSQL manual, "Message Formats"). */
export interface WireMessage {
  readonly side: 'client' | 'server';
  /** The byte that names it: Q query, P parse, C command complete, Z ready for query …; '' for the nameless first ones. */
  readonly type: string;
  /** The SQL of a Q or P, the tag of a C. */
  readonly text: string;
  /** Of the server's: the SQL that it answers. */
  readonly query: string;
  readonly bytes: Buffer;
}

export interface WireReader {
  /** Known from the client's first message on. */
  database(): string;
  fromClient(bytes: Buffer): readonly WireMessage[];
  fromServer(bytes: Buffer): readonly WireMessage[];
}

const PROTOCOL_3 = 196_608;

/** Cuts both byte streams of one connection into messages. Without TLS: what is encrypted cannot be read. */
export function createWireReader(): WireReader {
  let database = '';
  let started = false;
  let query = '';
  const client = createCutter(() => (started ? 1 : 0));
  const server = createCutter(() => 1);

  return {
    database: () => database,
    fromClient: (bytes) =>
      client(bytes).map((message): WireMessage => {
        if (!started) {
          started = message.readInt32BE(4) === PROTOCOL_3;
          if (started) database = parametersOf(message).get('database') ?? '';
          return { side: 'client', type: '', text: '', query: '', bytes: message };
        }
        const type = typeOf(message);
        const text = type === 'Q' ? cString(message, 5) : type === 'P' ? statementOf(message) : '';
        if (text !== '') query = text;
        return { side: 'client', type, text, query: '', bytes: message };
      }),
    fromServer: (bytes) =>
      server(bytes).map((message): WireMessage => {
        const type = typeOf(message);
        return { side: 'server', type, text: type === 'C' ? cString(message, 5) : '', query, bytes: message };
      }),
  };
}

/** `offset`: bytes before the length field, which counts itself. Whole messages only; the rest waits for more. */
function createCutter(offset: () => 0 | 1): (bytes: Buffer) => Buffer[] {
  let rest: Buffer = Buffer.alloc(0);
  return (bytes) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    const whole: Buffer[] = [];
    for (;;) {
      const at = whole.length === 0 ? offset() : 1; // a client sends nothing behind its first message before the answer
      if (rest.length < at + 4) return whole;
      const length = at + rest.readInt32BE(at);
      if (rest.length < length) return whole;
      whole.push(rest.subarray(0, length));
      rest = rest.subarray(length);
    }
  };
}

const typeOf = (message: Buffer) => String.fromCharCode(message[0] ?? 0);

function cString(message: Buffer, from: number): string {
  const end = message.indexOf(0, from);
  return message.toString('utf8', from, end < 0 ? message.length : end);
}

/** Parse: the statement's name, then its text. */
function statementOf(message: Buffer): string {
  return cString(message, message.indexOf(0, 5) + 1);
}

function parametersOf(startup: Buffer): ReadonlyMap<string, string> {
  const words = startup.toString('utf8', 8).split('\0');
  const parameters = new Map<string, string>();
  for (let at = 0; at + 1 < words.length; at += 2) parameters.set(words[at] as string, words[at + 1] as string);
  return parameters;
}
