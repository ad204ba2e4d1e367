// The configuration as it was written: rules that span several keys look at it, so that theirs are told with all other problems.

export interface Problem {
  readonly at: readonly PropertyKey[];
  readonly message: string;
}

export function valueAt(value: unknown, at: readonly PropertyKey[]): unknown {
  let here = value;
  for (const step of at) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, step)) return undefined;
    here = (here as Record<PropertyKey, unknown>)[step];
  }
  return here;
}

export function recordAt(value: unknown, at: readonly PropertyKey[]): Record<string, unknown> {
  const found = valueAt(value, at);
  return typeof found === 'object' && found !== null && !Array.isArray(found) ? (found as Record<string, unknown>) : {};
}
