import { pino, type Logger } from 'pino';
import { redact } from '../config/secrets.js';
import type { LogMode } from './command.js';

const LEVEL_NAMES: Readonly<Record<number, string>> = {
  10: 'TRACE',
  20: 'DEBUG',
  30: 'INFO',
  40: 'WARN',
  50: 'ERROR',
  60: 'FATAL',
};

/**
 * `LEVEL text`, one line a record: what an operator reads beside the database's own log. The fields are for `--log json`;
 * of an error its message stays, with the stack in debug.
 */
export function formatPlain(record: Readonly<Record<string, unknown>>, debug: boolean): string {
  const level = LEVEL_NAMES[Number(record['level'])] ?? 'INFO';
  const text = typeof record['msg'] === 'string' ? record['msg'] : '';
  const error = record['err'] as { message?: unknown; stack?: unknown } | undefined; // pino's own serialiser wrote it
  let line = `${level} ${text}`;
  if (typeof error?.message === 'string' && !text.includes(error.message)) line += `: ${error.message}`;
  if (debug && typeof error?.stack === 'string') line += `\n${error.stack}`;
  return redact(line.trimEnd());
}

/** Logs go to standard error when a command prints its result on standard output, else to standard output. */
export function createLog(mode: LogMode, write: (line: string) => void): Logger {
  const level = mode === 'debug' ? 'debug' : 'info';
  if (mode === 'json') {
    return pino(
      {
        level,
        base: null,
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
      },
      { write: (line: string) => write(redact(line.trimEnd())) },
    );
  }
  return pino(
    { level, base: null, timestamp: false },
    {
      write: (line: string) => write(formatPlain(JSON.parse(line) as Record<string, unknown>, mode === 'debug')),
    },
  );
}
