import { ExitCode } from '../../contract/errors.js';
import { workflowIdOf } from '../../contract/ids.js';
import type { Plan } from '../../contract/plan.js';
import { countSteps } from '../../plan/report.js';
import { durationText } from '../bars.js';
import { CliFailure, CommandError } from '../failure.js';
import { closingLine } from '../progress.js';
import { allSteps } from './plan-lines.js';
import type { PhonesMoved } from './shop.js';
import { INSTANCE, type Stage } from './stage.js';
import type { Turn } from './turns.js';

/** What happened on the way down. */
export interface Told {
  readonly code: number;
  readonly plan: Plan;
  readonly tookMs: number;
  readonly killedAtStep: number | null;
  /** From the kill until the next step was done. */
  readonly resumedAfterMs: number | null;
  readonly turns: readonly Turn[];
}

/** Looks at the result, and says what came of it. @throws CommandError when it is not what the demo promises. */
export async function report(
  { deps, shop, application, runs, engine, voice }: Stage,
  told: Told,
  phones: PhonesMoved | null,
  workflows: string,
  beganAt: number,
): Promise<void> {
  const { terminal } = deps;
  if (told.code !== ExitCode.done) {
    voice.say(`The downgrade ended with exit code ${told.code}; what was found is above.`);
    return;
  }
  const verdicts = await engine.check({ instance: INSTANCE });
  const dirty = Object.entries(verdicts).filter(([, verdict]) => !verdict.clean);
  const { alreadyThere } = await engine.plan({ instance: INSTANCE, to: shop.oldest, direction: 'down' });
  if (dirty.length > 0 || !alreadyThere) {
    const found = dirty.flatMap(([, { reasons }]) => reasons.map(({ code, evidence }) => `${code}: ${evidence}`));
    throw new CommandError(
      CliFailure.Unexpected,
      `The result is not ${shop.oldest}: ${[...found, ...(alreadyThere ? [] : ['the applied sets are not the release’s'])].join('; ')}`,
    );
  }
  if (phones === null || phones.newer > 0) {
    throw new CommandError(
      CliFailure.Unexpected,
      `${phones?.newer ?? 'An unknown number of'} phone numbers are still in the form that ${shop.oldest} cannot read.`,
    );
  }
  const { runId } = await runs.describe(INSTANCE);
  const { url } = await application.serving();
  const steps = allSteps(told.plan);
  const downs = countSteps(told.plan).total;
  const row = (name: string, text: string) => terminal.out(`  ${name.padEnd(11)} ${text}`);
  voice.say('Checked: every database is clean, what is applied is exactly the release, and so is the form of the data');
  terminal.out('');
  row(
    'steps',
    `${downs} downs in ${told.plan.legs.length} legs over ${shop.databases.length} databases, each exactly once`,
  );
  row(
    'data',
    `${phones.older.toLocaleString('en')} phone numbers in the older form again: ${phones.rows.toLocaleString('en')} rows in ${phones.batches} batches, each exactly once`,
  );
  row(
    'application',
    `${told.turns.map(({ release }) => release).join(' → ')}, each where it can; the last serves on ${url}`,
  );
  row('time', `${durationText(told.tookMs)} with the kill; ${durationText(Date.now() - beganAt)} for the whole demo`);
  if (told.killedAtStep !== null) {
    const pause = told.resumedAfterMs === null ? '' : `, went on ${durationText(told.resumedAfterMs)} later`;
    row('killed', `after step ${told.killedAtStep} of ${steps}${pause}`);
  }
  row('Web UI', `${workflows}/${encodeURIComponent(workflowIdOf(INSTANCE))}/${runId}/history`);
  row('exit code', String(told.code));
  terminal.out('');
  terminal.out(closingLine(await runs.result(INSTANCE)));
}
