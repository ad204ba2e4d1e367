import { randomUUID } from 'node:crypto';
import type { WorkflowHandle } from '@temporalio/client';
import { CancelledFailure } from '@temporalio/common';
import { expect } from 'vitest';
import type { UnwindReport } from '../../src/contract/messages.js';
import { until } from '../support/until.js';
import { dirty, FakeInstance, fails, Gate, PLAN, untilCancelled } from './fake-instance.js';
import type { Started } from './harness.js';

/** The passage of a run from its start to its end, whatever becomes of the worker's cache. */
export interface Scenario {
  readonly name: string;
  /** The file that test/replay replays; absent where another test saves that shape. */
  readonly saveAs?: string;
  readonly make: () => { readonly instance: FakeInstance; readonly play: (run: Started) => Promise<Ended> };
}

/** Which run's history to keep, where it is not the one that was started. */
export type Ended = WorkflowHandle | void;

const options = (more: { heartbeatTimeoutSeconds?: number } = {}) => ({
  options: { stepTimeoutSeconds: 60, heartbeatTimeoutSeconds: 30, maximumAttempts: null, ...more },
});
const threeSteps = (summary = {}) =>
  new FakeInstance([{ release: 'v5.0.0', steps: { frontend: ['m3', 'm2', 'm1'] } }], { ...options(), ...summary });
const twoLegs = () =>
  new FakeInstance([
    { release: 'v6.0.0', steps: { frontend: ['m4', 'm3'], codeintel: ['c3'] } },
    { release: 'v5.0.0', steps: { frontend: ['m2'], codeintel: ['c2'] } },
  ]);

async function completes({ report }: Started, more: Partial<UnwindReport> = {}): Promise<UnwindReport> {
  const result = await report;
  expect(result).toMatchObject({ outcome: 'completed', standsAt: 'v5.0.0', stepsDone: result.stepsTotal, ...more });
  return result;
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'two databases over two releases',
    make: () => {
      const instance = twoLegs();
      const play = async (run: Started) => {
        await completes(run);
        expect(instance.count('done ')).toBe(5);
      };
      return { instance, play };
    },
  },
  {
    name: 'three databases whose answers come in any order',
    make: () => {
      const ids = (name: string) => [1, 2, 3, 4].map((at) => `${name}${at}`);
      const instance = new FakeInstance([
        { release: 'v6.0.0', steps: { frontend: ids('f'), codeintel: ids('c'), insights: ids('i') } },
        { release: 'v5.0.0', steps: { frontend: ids('g'), codeintel: ids('d'), insights: ids('j') } },
      ]);
      instance.riding = true;
      const play = async (run: Started) => {
        await completes(run);
        expect(instance.count('done ')).toBe(24);
      };
      return { instance, play };
    },
  },
  {
    name: 'parked and resumed',
    make: () => {
      const instance = threeSteps().next('checkDirty frontend 2', dirty('frontend'));
      const play = async (run: Started) => {
        await run.inState('needsOperator');
        await run.update('retryStep', { by: 'ann' });
        await completes(run, { decisions: [expect.objectContaining({ kind: 'retryStep', by: 'ann' })] });
      };
      return { instance, play };
    },
  },
  {
    name: 'approved',
    saveAs: 'approved',
    make: () => {
      const instance = threeSteps({ destructiveSteps: 1, destructiveExamples: ['frontend m3 drop_jobs: table jobs'] });
      const play = async (run: Started) => {
        await run.inState('awaitingApproval');
        await run.update('approve', { plan: PLAN, by: 'ann', why: 'backed up' });
        await completes(run, { decisions: [expect.objectContaining({ kind: 'approve', by: 'ann' })] });
      };
      return { instance, play };
    },
  },
  {
    name: 'aborted while a database is parked',
    saveAs: 'aborted',
    make: () => {
      const instance = twoLegs().next('applyMigration frontend 2', fails('StepFailed', '42P01 at public.jobs'));
      const play = async (run: Started) => {
        await run.inState('needsOperator');
        await until(() => instance.done.has('codeintel 1'), { describe: 'the other database to reach the boundary' });
        await run.update('abort', { by: 'ann', why: 'enough' });
        expect(await run.report).toMatchObject({ outcome: 'aborted', stepsDone: 2, decisions: [{ kind: 'abort' }] });
        expect(instance.ended).toBe('aborted');
      };
      return { instance, play };
    },
  },
  {
    name: 'cancelled in a step',
    saveAs: 'cancelled-in-a-step',
    make: () => {
      const gate = new Gate();
      const instance = threeSteps().next('applyMigration frontend 2', () => {
        void gate.twist(() => Promise.resolve());
        return untilCancelled();
      });
      const play = async (run: Started) => {
        await gate.reached;
        gate.open();
        await run.handle.cancel();
        await expect(run.report).rejects.toMatchObject({ cause: expect.any(CancelledFailure) });
        expect(instance.ended).toBe('cancelled');
        expect(instance.tokens.size, 'the claim is given back').toBe(0);
      };
      return { instance, play };
    },
  },
  {
    name: 'a stale attempt, then a new claim',
    saveAs: 'stale-then-claimed',
    make: () => {
      const instance = threeSteps().next('applyMigration frontend 2', fails('StaleAttempt'));
      const play = async (run: Started) => {
        await completes(run);
        expect(instance.count('claim frontend')).toBe(2);
      };
      return { instance, play };
    },
  },
  {
    name: 'a journal that was behind',
    saveAs: 'went-back',
    make: () => {
      const instance = threeSteps();
      instance.next('checkDirty frontend 3', (work) => {
        instance.done.delete('frontend 2');
        return work();
      });
      const play = async (run: Started) => {
        const { warnings } = await completes(run);
        expect(warnings).toContainEqual(expect.stringContaining('were run again'));
        expect(instance.calls.filter((call) => call === 'done frontend 2')).toHaveLength(2);
      };
      return { instance, play };
    },
  },
  {
    name: 'a worker that died in a step',
    saveAs: 'second-attempt',
    make: () => {
      const dead = new Gate();
      const instance = threeSteps(options({ heartbeatTimeoutSeconds: 1 }));
      instance.next('applyMigration frontend 2', dead.twist);
      const play = async (run: Started) => {
        await dead.reached;
        await completes(run);
        dead.open(); // nobody hears it any more
        const { events } = await run.handle.fetchHistory();
        const attempts = events?.flatMap(({ activityTaskStartedEventAttributes: it }) => (it ? [it.attempt] : []));
        expect(attempts).toContain(2);
      };
      return { instance, play };
    },
  },
  {
    name: 'a reset to an earlier workflow task',
    saveAs: 'reset',
    make: () => {
      const gate = new Gate();
      const instance = threeSteps().next('applyMigration frontend 3', gate.twist);
      const play = async (run: Started) => {
        await gate.reached;
        const { workflowId, client } = run.handle;
        const { events } = await run.handle.fetchHistory();
        const tasks = (events ?? []).filter(({ workflowTaskCompletedEventAttributes: it }) => it != null);
        await client.workflowService.resetWorkflowExecution({
          namespace: client.options.namespace,
          workflowExecution: { workflowId },
          workflowTaskFinishEventId: tasks[Math.floor(tasks.length / 2)]?.eventId ?? null,
          reason: 'as asked for',
          requestId: randomUUID(),
        });
        gate.open();
        const handle = client.getHandle(workflowId);
        expect(await handle.result()).toMatchObject({ outcome: 'completed', stepsDone: 3, stepsTotal: 3 });
        expect(instance.done.size).toBe(3);
        return handle;
      };
      return { instance, play };
    },
  },
  {
    name: 'more warnings than a report carries',
    saveAs: 'many-warnings',
    make: () => {
      const warnings = Array.from({ length: 120 }, (_, at) => ({
        code: `made-up-${at}`,
        database: 'frontend',
        text: `warning ${at}`,
      }));
      const instance = threeSteps().next('checkDirty frontend 2', async (work) => ({
        ...((await work()) as object),
        warnings,
      }));
      const play = async (run: Started) => {
        expect((await completes(run)).warnings).toHaveLength(100);
      };
      return { instance, play };
    },
  },
];
