import pc from 'picocolors';
import type { Terminal } from '../../../src/cli/terminal.js';

/** A terminal that keeps what is printed. */
export interface CollectingTerminal extends Terminal {
  readonly printed: string[];
  readonly complained: string[];
}

export function collectingTerminal(options: { interactive?: boolean; columns?: number } = {}): CollectingTerminal {
  const printed: string[] = [];
  const complained: string[] = [];
  return {
    printed,
    complained,
    interactive: options.interactive ?? false,
    columns: options.columns ?? 120,
    colors: pc.createColors(false),
    out: (text) => void printed.push(text),
    err: (text) => void complained.push(text),
  };
}
