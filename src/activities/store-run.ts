import type { MakePlanInput } from '../contract/activities.js';
import type { Plan } from '../contract/plan.js';
import type { OpenInstance } from '../instance/instances.js';
import type { Survey } from '../instance/survey.js';
import { storePlan } from '../journal/plans.js';
import { insertRun } from '../journal/runs.js';
import { hashScript } from '../postgres/script.js';
import type { Session } from '../postgres/session.js';
import type { InstanceDatabase } from '../step/database.js';

/**
 * Writes a new plan, what it runs and the row of its run into the journal of each of its databases.
 * @param target - What the row says the run leads to: by it, among others, a run that did not end is found again.
 * @param also - In the same session, behind it.
 */
export async function storeRun(
  instance: OpenInstance,
  plan: Plan,
  surveys: Readonly<Record<string, Survey>>,
  { run, owner }: Pick<MakePlanInput, 'run' | 'owner'>,
  target: string,
  also: (database: InstanceDatabase, session: Session) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const { readScript, catalog } = await instance.catalog();
  const stored = async (sha256: string) => {
    const body = await readScript(sha256);
    // A query of a data migration is no script: nothing is known about it but its text, and its facts are not asked for.
    return { sha256: hashScript(body), body, facts: catalog.scripts[sha256] as (typeof catalog.scripts)[string] };
  };
  await Promise.all(
    instance.databases
      .filter(({ name }) => plan.databases.includes(name))
      .map(async (database) => {
        const survey = surveys[database.name] as Survey;
        await database.sessions.withSession(async ({ client }) => {
          if (!survey.hasLedger) await database.ledger.create(client, database.ledgerOptions);
        });
        await database.prepare({ make: true, anew: !survey.hasJournal });
        await database.sessions.withSession(async (session) => {
          const { client } = session;
          await storePlan(client, plan, database.name, stored);
          await insertRun(client, {
            run,
            plan: plan.id,
            instance: instance.config.name,
            direction: plan.direction,
            target,
            owner,
            base: survey.base,
          });
          await also(database, session);
        });
      }),
  );
}
