import { userInfo } from 'node:os';
import { stringOption, type Invocation } from './command.js';

/** Workflow code is not given the caller's identity, so every message carries a name; the operating system's is a fair guess. */
export function operatorName(invocation: Pick<Invocation, 'options'>): string {
  const given = stringOption(invocation.options, 'by');
  if (given !== undefined) return given;
  try {
    return userInfo().username;
  } catch {
    return 'unknown'; // a container's user without an entry in its passwd
  }
}
