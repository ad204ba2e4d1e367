/** Ctrl-C and a polite kill, as one signal for code that awaits. */
export interface Interrupt {
  readonly signal: AbortSignal;
  /** Resolves at the first signal. */
  readonly arrived: Promise<NodeJS.Signals>;
  /** Puts the process's default behaviour back. */
  release(): void;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** One Ctrl-C arrives twice under npm: from the terminal, and passed on by npm. */
const SAME_SIGNAL_MS = 1_000;

/**
 * Holds the signals until `release`. The first asks for an orderly end; a later one, from someone who has waited long
 * enough, ends the process at once: what was started dies with it (src/process/owned-process.ts).
 */
export function onInterrupt(): Interrupt {
  const controller = new AbortController();
  let resolve: (signal: NodeJS.Signals) => void = () => undefined;
  const arrived = new Promise<NodeJS.Signals>((settle) => (resolve = settle));
  let firstAt: number | null = null;
  const receive = (signal: NodeJS.Signals) => {
    if (firstAt !== null && Date.now() - firstAt > SAME_SIGNAL_MS) process.exit(130);
    firstAt ??= Date.now();
    controller.abort();
    resolve(signal);
  };
  for (const signal of SIGNALS) process.on(signal, receive);
  return {
    signal: controller.signal,
    arrived,
    release: () => SIGNALS.forEach((signal) => process.removeListener(signal, receive)),
  };
}
