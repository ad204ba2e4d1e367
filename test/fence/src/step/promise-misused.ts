async function ready(): Promise<boolean> {
  return false;
}

export function planted(): string {
  return ready() ? 'always' : 'never';
}
