import type { Loss, LossReport, LossSummary } from '../contract/losses.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import type { Plan } from '../contract/plan.js';
import type { OpenInstance } from '../instance/instances.js';
import { surveyLosses } from '../instance/losses/survey.js';
import { shownLosses, storeLosses } from '../journal/losses.js';
import { grownSince, summaryOf } from '../plan/loss-summary.js';

/** Counts what a person is about to be asked for, and keeps it: consent is given to what was shown. */
export async function countLosses(instance: OpenInstance, plan: Plan, run: string): Promise<LossSummary> {
  const report = await reportOf(instance, plan);
  await keep(instance, run, report);
  return summaryOf(report);
}

/**
 * Consent that comes late is to what was shown then, and to no later count: that may be one which nobody has seen, of an attempt that
 * died before it could say so.
 * @throws {UnwindError} LossesGrown: what goes holds clearly more by now; the new figures are in the details, and are what counts
 *   from now on.
 */
export async function expectNotGrown(instance: OpenInstance, plan: Plan, run: string, shownAt: string): Promise<void> {
  const shown = await Promise.all(
    instance.databases.map((database) =>
      database.sessions.withSession(({ client }) => shownLosses(client, run, shownAt)),
    ),
  );
  if (shown.every((each) => each === null)) return; // consent was not asked for with figures
  const report = await reportOf(instance, plan);
  const grown = grownSince(
    shown.flatMap<Loss>((each) => each ?? []),
    report.losses,
  );
  if (grown.length === 0) return;
  await keep(instance, run, report);
  const more = grown.length > 5 ? ` and ${grown.length - 5} more` : '';
  throw new UnwindError(
    FailureType.LossesGrown,
    `What this plan destroys has grown since its losses were shown: ${grown.slice(0, 5).join('; ')}${more}. Nothing was approved, and ` +
      'nothing was changed. Look at the new figures (query "status", "pg-unwind plan"), stop what still writes, and send "approve" again.',
    { details: { losses: summaryOf(report) } },
  );
}

async function reportOf(instance: OpenInstance, plan: Plan): Promise<LossReport> {
  // A run that goes on has its plan from the journal: this catalog may be older, or not be there at all.
  const scripts = await instance.catalog().then(
    ({ catalog }) => catalog.scripts,
    () => null,
  );
  return surveyLosses(instance, plan, { makesOf: (sha256) => scripts?.[sha256]?.makes });
}

async function keep(instance: OpenInstance, run: string, { takenAt, losses }: LossReport): Promise<void> {
  await Promise.all(
    instance.databases.map((database) =>
      database.sessions.withSession(({ client }) =>
        storeLosses(
          client,
          run,
          takenAt,
          losses.filter((loss) => loss.database === database.name),
        ),
      ),
    ),
  );
}
