import pc from 'picocolors';

type Colors = ReturnType<typeof pc.createColors>;

/** Where a command prints: results on `out`, everything about the way there on `err`. Tests pass one that collects. */
export interface Terminal {
  /** Standard output is a terminal that can be redrawn. */
  readonly interactive: boolean;
  readonly columns: number;
  readonly colors: Colors;
  /** A line (or several) of result. */
  out(text: string): void;
  /** A line (or several) of warning or error. */
  err(text: string): void;
}

/**
 * The terminal of this process. `CI` and `TERM=dumb` are respected, and a pseudo-terminal without a size: there the output is
 * plain lines.
 */
export function processTerminal(env: NodeJS.ProcessEnv): Terminal {
  const { isTTY, columns, rows } = process.stdout;
  // Compared, for `isTTY` is undefined on a pipe, and picocolors takes undefined for "decide yourself".
  const interactive = isTTY === true && columns > 0 && rows > 0 && env['TERM'] !== 'dumb' && !env['CI'];
  return {
    interactive,
    get columns() {
      return process.stdout.columns || 120;
    },
    colors: pc.createColors(interactive && !env['NO_COLOR']),
    out: (text) => void process.stdout.write(`${text}\n`),
    err: (text) => void process.stderr.write(`${text}\n`),
  };
}

/** One JSON document for programs, indented for people. */
export function printJson(terminal: Terminal, value: unknown): void {
  terminal.out(JSON.stringify(value, null, 2));
}
