/** Ctrl-C and a polite kill, as one signal for code that awaits. */
export interface Interrupt {
  readonly signal: AbortSignal;
  /** Resolves at the first signal. */
  readonly arrived: Promise<NodeJS.Signals>;
  /** Puts the process's default behaviour back. */
  release(): void;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Holds the signals until `release`. The first asks for an orderly end; the second one, from someone who has waited long
 * enough, ends the process at once: what was started dies with it (src/process/owned-process.ts).
 */
export function onInterrupt(): Interrupt {
  const controller = new AbortController();
  let resolve: (signal: NodeJS.Signals) => void = () => undefined;
  const arrived = new Promise<NodeJS.Signals>((settle) => (resolve = settle));
  const receive = (signal: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(130);
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
