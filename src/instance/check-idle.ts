import type { CheckVerdict } from '../contract/activities.js';
import type { Catalog } from '../contract/catalog.js';
import { type DirtyReason, type DirtyWarning } from '../contract/dirty.js';
import { UnwindError } from '../contract/errors.js';
import { findDatabase } from '../catalog/releases.js';
import { doneSteps } from '../journal/runs.js';
import type { InstanceDatabase } from '../step/database.js';
import { checkDatabase, verdictFrom } from '../step/dirty-check.js';
import { reasonOf } from '../step/reasons.js';
import { surveyDatabase } from './survey.js';

/**
 * The dirty check for a person, at any time: with an open run the one that its next step would meet; without one what can be
 * said all the same (the ledger's unfinished and failed attempts, ids that no release knows, a standby).
 */
export async function checkIdle(database: InstanceDatabase, catalog: Catalog): Promise<CheckVerdict> {
  const began = performance.now();
  const survey = await surveyDatabase(database, 'down').catch((error: unknown) => {
    if (error instanceof UnwindError && error.type === 'DirtyDatabase')
      return error.details['reasons'] as readonly DirtyReason[];
    throw error;
  });
  if (Array.isArray(survey)) return verdict(survey as readonly DirtyReason[], began);
  const known = new Set(findDatabase(catalog, database.name)?.migrations.map((migration) => migration.id));
  const { base, runs } = survey as Exclude<typeof survey, readonly DirtyReason[]>;
  const unknown = base.filter((id) => !known.has(id));
  if (unknown.length > 0) return verdict([reasonOf({ code: 'unknownAppliedId', data: unknown }, database.name)], began);
  const open = runs.find((run) => run.claimed);
  if (open === undefined) return verdict([], began);
  const done = await database.sessions.withSession(({ client }) => doneSteps(client, open.run));
  return verdictFrom(await checkDatabase(database, open.run, Math.max(0, ...done) + 1), database.name);
}

function verdict(reasons: readonly DirtyReason[], began: number): CheckVerdict {
  const warnings: DirtyWarning[] = [];
  return {
    clean: reasons.length === 0,
    reasons,
    warnings,
    how: 'baseline',
    timeline: 0,
    tookMs: Math.round(performance.now() - began),
  };
}
