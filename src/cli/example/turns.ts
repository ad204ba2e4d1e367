import { CliFailure, CommandError } from '../failure.js';
import type { Application } from './application.js';
import { customerOf, expectAnswered, failureText, isFailed, placeOrder, readAll, type Answered } from './version.js';

/** A version of the application that has served, and the order that it has taken. */
export interface Turn {
  readonly release: string;
  readonly order: number;
}

interface Scene {
  readonly application: Application;
  /** From the newest to the oldest. */
  readonly versions: readonly string[];
  readonly signal: AbortSignal;
  /** One line of the story. */
  tell(line: string): void;
}

/** What the application does at each place where it can serve; keeps who has served. */
export function createTurns({ application, versions, signal, tell }: Scene) {
  const told: Turn[] = [];

  /** Asks the version that has been deployed, and its neighbours, which must fail here. @throws CommandError when that is not so. */
  async function show(release: string): Promise<void> {
    const serving = await application.serving();
    if (serving.release !== release || serving.url === null) {
      throw new CommandError(CliFailure.Unexpected, `${serving.release ?? 'Nothing'} serves where ${release} must.`);
    }
    const placed = await placeOrder(serving.url, release, signal);
    const answers = [placed, ...(await readAll(serving.url, signal))];
    expectAnswered(release, answers);
    expectKept(release, answers);
    tell(`${release} answers: ${answersText(answers)}`);
    tell(`it reads ${customersText(answers)}`);
    told.push({ release, order: placed.body.id ?? 0 });

    const place = versions.indexOf(release);
    const [newer, older] = [versions[place - 1], versions[place + 1]];
    if (newer !== undefined) tell(`${newer} cannot any more: ${await failureOf(newer, release)}`);
    if (older !== undefined) tell(`${older} cannot yet: ${await failureOf(older, release)}`);
  }

  /** What the versions before it have taken is still there. */
  function expectKept(release: string, answers: readonly Answered[]): void {
    const rows = answers.find(({ request }) => request === 'GET /orders')?.body.rows ?? [];
    const lost = told.find(({ order }) => !rows.some(({ id }) => id === order));
    if (lost === undefined) return;
    const what = `Order ${lost.order}, which ${lost.release} took, is not there under ${release}.`;
    throw new CommandError(CliFailure.Unexpected, what);
  }

  async function failureOf(other: string, release: string): Promise<string> {
    const failed = (await application.beside(other, (url) => readAll(url, signal))).find(isFailed);
    if (failed !== undefined) return failureText(failed);
    throw new CommandError(CliFailure.Unexpected, `${other} answers on the databases of ${release}: it must not.`);
  }

  return { show, told: () => [...told] };
}

/** `POST /orders 201, GET /orders 200, …` */
function answersText(answers: readonly Answered[]): string {
  return answers.map(({ request, status }) => `${request} ${status}`).join(', ');
}

/** Those who have ordered since the story began, with their phone numbers in the form that is read here. */
function customersText(answers: readonly Answered[]): string {
  const rows = answers.find(({ request }) => request === 'GET /customers')?.body.rows ?? [];
  const ours = rows.filter(({ name }) => typeof name === 'string' && name.startsWith(customerOf('v')));
  return ours.map(({ name, phone }) => `${String(name)} ${String(phone)}`).join(', ');
}
