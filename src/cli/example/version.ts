import { CliFailure, CommandError } from '../failure.js';

/** What a version of the shop's application answers to a request. */
export interface Answered {
  /** `GET /orders` */
  readonly request: string;
  readonly status: number;
  readonly body: {
    readonly id?: number;
    readonly rows?: readonly Readonly<Record<string, unknown>>[];
    readonly error?: { readonly message: string };
  };
}

const READS = ['/orders', '/customers', '/sites'] as const;
const WITHIN_MS = 20_000;
const AREA = '+351 21 ';

/** Reads all that it shows; changes nothing. */
export async function readAll(url: string, signal: AbortSignal): Promise<readonly Answered[]> {
  const answers: Answered[] = [];
  for (const path of READS) answers.push(await request(url, `GET ${path}`, signal));
  return answers;
}

/** An order of a customer who is new with each version, and has a phone. */
export async function placeOrder(url: string, release: string, signal: AbortSignal): Promise<Answered> {
  return request(url, 'POST /orders', signal, {
    email: `${release}@example.org`,
    name: customerOf(release),
    phone: `${AREA}9${release.replaceAll(/\D/g, '').padStart(5, '0')}`,
    sku: 'SKU-00001',
    quantity: 1,
  });
}

export function customerOf(release: string): string {
  return `Customer of ${release}`;
}

async function request(url: string, what: string, signal: AbortSignal, fields?: object): Promise<Answered> {
  const [method = 'GET', path = '/'] = what.split(' ');
  const response = await fetch(url + path, {
    method,
    signal: AbortSignal.any([signal, AbortSignal.timeout(WITHIN_MS)]),
    ...(fields === undefined ? {} : { body: JSON.stringify(fields) }),
  });
  return { request: what, status: response.status, body: (await response.json()) as Answered['body'] };
}

export function isFailed({ status }: Answered): boolean {
  return status >= 400;
}

/** `GET /orders 500, relation "refunds" does not exist` */
export function failureText({ request: what, status, body }: Answered): string {
  return `${what} ${status}, ${body.error?.message ?? 'no reason given'}`;
}

/** @throws CommandError naming what this version, which must get on with its own release, did not answer. */
export function expectAnswered(release: string, answers: readonly Answered[]): void {
  const failed = answers.find(isFailed);
  if (failed === undefined) return;
  const where = `${release} of the application, on the databases of ${release}`;
  throw new CommandError(CliFailure.Unexpected, `${where}: ${failureText(failed)}`);
}
