/** What has been started, and how to stop it: newest first, each once, every one even if another's stop fails. */
export interface Stops {
  push(stop: () => Promise<void>): void;
  all(): Promise<void>;
}

export function createStops(): Stops {
  const pending: (() => Promise<void>)[] = [];
  return {
    push: (stop) => void pending.push(stop),
    async all() {
      const errors: unknown[] = [];
      for (let stop = pending.pop(); stop !== undefined; stop = pending.pop()) {
        await stop().catch((error: unknown) => errors.push(error));
      }
      if (errors.length > 0) throw errors[0];
    },
  };
}
