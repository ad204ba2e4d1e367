import {
  isGrpcServiceError,
  QueryNotRegisteredError,
  type WorkflowFailedError,
  type WorkflowUpdateFailedError,
} from '@temporalio/client';
import { ApplicationFailure, CancelledFailure, TerminatedFailure } from '@temporalio/common';
import { UnwindError } from '../contract/errors.js';
import { dataWorkflowIdOf, workflowIdOf } from '../contract/ids.js';
import { CliFailure, CommandError, isFailureType } from './failure.js';
import { commandOperands } from './progress.js';

const GRPC = { unavailable: 14, deadlineExceeded: 4, failedPrecondition: 9, cancelled: 1 } as const;

/** Which run is meant, in the words of a command line and of a message. */
export interface Meant {
  readonly workflowId: string;
  /** `acme-eu`, or `acme-eu data migration 7`. */
  readonly words: string;
  /** What stands behind the name of a command: `acme-eu`, or `acme-eu --data 7`. */
  readonly operands: string;
  /** The command that starts it. */
  readonly start: string;
}

/** @param data - The id of the data migration whose own run is meant, and not the way of the instance. */
export function meantRun(instance: string, data: string | undefined): Meant {
  return data === undefined
    ? {
        workflowId: workflowIdOf(instance),
        words: instance,
        operands: instance,
        start: `pg-unwind downgrade ${instance} --to <release>`,
      }
    : {
        workflowId: dataWorkflowIdOf(instance, data),
        words: `${instance} data migration ${data}`,
        operands: commandOperands(instance, data),
        start: `pg-unwind data run ${instance} ${data} --forward`,
      };
}

export function noRun({ words, workflowId, start }: Meant, namespace: string, cause: unknown): CommandError {
  return new CommandError(
    CliFailure.NoRun,
    `Temporal's namespace "${namespace}" knows no open run of ${words} (${workflowId}). Nothing was done. Start one with "${start}".`,
    { details: { workflowId, namespace }, cause },
  );
}

export function refusal(words: string, name: string, error: WorkflowUpdateFailedError): Error {
  const cause = error.cause;
  const said = cause?.message ?? error.message;
  return new CommandError(CliFailure.UpdateRefused, `The run of ${words} did not accept "${name}": ${said}`, {
    details: { update: name, type: cause instanceof ApplicationFailure ? (cause.type ?? null) : null },
    cause: error,
  });
}

/** Why a query has no answer for now; null when the error is about something else. */
export function unansweredBecause(error: unknown): string | null {
  if (error instanceof QueryNotRegisteredError) return 'the run has not begun yet';
  const grpc = grpcCodeIn(error);
  if (grpc === GRPC.deadlineExceeded || grpc === GRPC.cancelled) return 'no worker answered in time';
  if (grpc === GRPC.failedPrecondition) return 'no worker polls the task queue';
  if (grpc === GRPC.unavailable) return 'the Temporal server cannot be reached';
  return null;
}

/** The client wraps gRPC's errors in its own, some of them twice. */
function grpcCodeIn(error: unknown): number | null {
  for (
    let current: unknown = error, depth = 0;
    current instanceof Error && depth < 4;
    current = current.cause, depth++
  ) {
    if (isGrpcServiceError(current)) return current.code;
  }
  return null;
}

/** A failed run, in the words of its own failure. */
export function endOf({ words, workflowId, operands }: Meant, error: WorkflowFailedError): Error {
  const cause = error.cause;
  if (cause instanceof ApplicationFailure && isFailureType(cause.type)) {
    const details = cause.details?.[0];
    return new UnwindError(cause.type, cause.message, { details: isRecord(details) ? details : {}, cause: error });
  }
  if (cause instanceof CancelledFailure || cause instanceof TerminatedFailure) {
    const how = cause instanceof CancelledFailure ? 'was cancelled' : `was terminated (${cause.message})`;
    return new CommandError(
      CliFailure.RunStopped,
      `The run of ${words} ${how}. The journal in the databases knows how far it came: ` +
        `start it again to go on, or "pg-unwind check ${operands.split(' ')[0]}" to see whether they are clean.`,
      { details: { workflowId }, cause: error },
    );
  }
  return new CommandError(CliFailure.Unexpected, `The run of ${words} failed: ${cause?.message ?? error.message}`, {
    details: { workflowId },
    cause: error,
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
