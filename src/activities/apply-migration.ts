import { setTimeout as pause } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { Activities, ApplyMigrationInput, StepOutcome } from '../contract/activities.js';
import { FailureType, UnwindError } from '../contract/errors.js';
import { saidSince, type SaidSince } from '../journal/runs.js';
import { applyStep } from '../step/apply.js';
import type { InstanceDatabase } from '../step/database.js';
import { verdictFrom } from '../step/dirty-check.js';
import type { ActivityDeps } from './deps.js';

/** begin_step takes no older verdict than ten seconds by the database's clock; the rest is for the way there. */
const VERDICT_FRESH_MS = 8_000;

const HEARTBEAT_MS = 1_000;

/** Carries out one step: heartbeats and cancellation around `applyStep`, one line in the log at its end. */
export function createApplyMigration({
  instances,
  plans,
  verdicts,
  log,
  metrics,
}: ActivityDeps): Activities['applyMigration'] {
  return async (input) => {
    const { instance, run, plan, leg, seq, migration, direction, token } = input;
    const context = Context.current();
    const { cancellationSignal: signal } = context;
    const attempt = context.info.attempt;
    const database = instances.open(instance).database(input.database);
    const at = { instance, database: database.name };
    const began = Date.now();
    let name = migration; // what the Web UI shows of a pending activity is its id and this
    let doing = 'reading the journal';
    const beat = () => context.heartbeat({ step: name, doing, seconds: Math.round((Date.now() - began) / 1_000) });
    const ticker = setInterval(beat, HEARTBEAT_MS);
    try {
      await database.prepare();
      const { step, script, total } = await plans.step(database, plan, leg, seq);
      name = `${migration} ${step.name}, ${seq} of ${total} of ${database.name} ${direction}`;
      const said = attempt === 1 ? null : await askSaid(database, input, context.info.scheduledTimestampMs);
      if (said?.isOver) throw ending(input);
      const blockers = said?.blockers ?? input.blockers;
      const { outcome: applied, check } = await applyStep(
        database,
        {
          run,
          database: database.name,
          seq,
          migration,
          name: step.name,
          direction,
          execution: step.execution,
          privileged: step.privileged,
          terminateBlockers: step.terminateBlockers,
          script,
          token,
          attempt,
        },
        {
          check: verdicts.recall(run, database.name, seq, VERDICT_FRESH_MS),
          progress: (what) => {
            doing = what;
            beat();
          },
          working: () => {
            doing = 'running';
          },
          ...(blockers === undefined ? {} : { blockers }),
          onEnded: (who, words) => {
            metrics.endedSession(at);
            log.warn(
              { instance, run, database: database.name, seq, migration, ended: who },
              `${database.name} ${migration}: ended ${words}, which held a lock that the step needs`,
            );
          },
          onWaited: (ms) => metrics.lockWait(at, ms),
          pause: (ms) => pause(ms, undefined, { signal }),
          signal,
        },
      );
      verdicts.keep(run, database.name, check);
      metrics.step(at, applied);
      const outcome: StepOutcome = {
        ...applied,
        check: check === null ? null : verdictFrom(check, database.name),
      };
      if (outcome.check !== null) metrics.check(at, outcome.check);
      log.info(
        { instance, run, database: database.name, seq, migration, direction, ...applied },
        `${database.name} ${migration} ${step.name} ${direction} ${told(outcome)} ${Math.round(outcome.tookMs)} ms (${seq}/${total})`,
      );
      if (outcome.skippedNotices > 0) {
        log.warn(
          { instance, database: database.name, migration },
          `${database.name} ${migration}: ${outcome.skippedNotices === 1 ? 'once' : `${outcome.skippedNotices} times`} "does not exist, skipping": what the script names was not there (pgunwind.notice)`,
        );
      }
      return outcome;
    } catch (error) {
      metrics.step(at, 'failed');
      throw error;
    } finally {
      clearInterval(ticker);
    }
  };
}

/**
 * An attempt that follows another has its input, which may be older than what an operator has said since. What is wrong with a
 * database that does not answer, the step itself finds out and tells.
 */
function askSaid(database: InstanceDatabase, step: ApplyMigrationInput, begunMs: number): Promise<SaidSince | null> {
  return database.sessions.withSession(({ client }) => saidSince(client, step, new Date(begunMs))).catch(() => null);
}

function ending({ database, migration, direction }: ApplyMigrationInput): UnwindError {
  return new UnwindError(
    FailureType.RunEnding,
    `An operator ends this run, and ${migration} ${direction} on "${database}" was held up: each attempt was rolled back whole, and nothing of ` +
      'it stands. It is not tried again.',
  );
}

function told({ how, unit }: StepOutcome): string {
  switch (how) {
    case 'ran':
    case 'empty':
      return 'ok';
    case 'foundDone':
      return 'found done';
    case 'resumed':
      return `resumed at part ${unit ?? 1}, ok`;
    case 'probed':
      return 'probed, ok';
    default:
      return how satisfies never;
  }
}
