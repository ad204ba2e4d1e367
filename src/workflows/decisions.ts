import type { PlanSummary } from '../contract/activities.js';
import type { Decision } from '../contract/messages.js';
import { ownDatabases } from './progress.js';
import { now } from './progress.js';
import { bestEffort, type Run, unlessAborted } from './run.js';

/** What an operator has said, as it is kept. */
export function decide(kind: string, input: { by?: string; why?: string } | null | undefined): Decision {
  return { kind, by: input?.by ?? null, why: input?.why ?? null, at: now() };
}

/**
 * Consent is in the journal before it counts: what is destroyed after it must be answerable to somebody.
 * Recorded under the kind `approve`, wherever it came from, since that is what the next `makePlan` looks for.
 */
export async function recordConsent(
  run: Run,
  { plan, losses }: PlanSummary,
  decision: Decision,
  givenBy: 'input' | 'update',
): Promise<true> {
  const { progress, proxies } = run;
  const { instance } = progress.input;
  const shownAt = givenBy === 'update' ? losses?.takenAt : undefined;
  const details = { plan, givenBy, ...(shownAt === undefined ? {} : { shownAt }) };
  await unlessAborted(run, () => proxies.recordConsent({ instance, run: progress.run, plan, ...decision, details }));
  progress.decisions.push(decision);
  progress.approved = true;
  return true;
}

/** Other decisions work at once, even where the database that should hold them is away; Temporal's history has them too. */
export function recordDecision(
  run: Run,
  decision: Decision,
  details: Readonly<Record<string, unknown>>,
): Promise<void> {
  run.progress.decisions.push(decision);
  return writeDecision(run, decision, details);
}

/** Of one that stands in `decisions` already, because something had to be awaited in between: their order is that of the history. */
export async function writeDecision(
  run: Run,
  decision: Decision,
  details: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { progress, proxies } = run;
  await bestEffort(run, `the decision "${decision.kind}" could not be written to the journal`, () =>
    proxies.recordDecision({
      instance: progress.input.instance,
      run: progress.run,
      plan: progress.plan?.plan ?? null,
      ...decision,
      details,
      ...ownDatabases(progress),
    }),
  );
}
