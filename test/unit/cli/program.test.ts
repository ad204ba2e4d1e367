import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import type { CommandSpec, Invocation } from '../../../src/cli/command.js';
import { COMMANDS } from '../../../src/cli/commands/index.js';
import { main } from '../../../src/cli/main.js';
import { parseCommandLine } from '../../../src/cli/program.js';
import { FailureType, UnwindError } from '../../../src/contract/errors.js';
import { repository } from '../../support/shared.js';
import { collectingTerminal } from './collecting-terminal.js';

async function parse(...words: string[]): Promise<{ name: string; invocation: Invocation }> {
  const parsed = await parseCommandLine(words, COMMANDS, { terminal: collectingTerminal(), env: {}, version: '1.2.3' });
  if (parsed.kind !== 'run') throw new Error('answered instead of run');
  return { name: parsed.spec.name, invocation: parsed.invocation };
}

async function run(words: readonly string[], commands?: readonly CommandSpec[]) {
  const terminal = collectingTerminal();
  const code = await main(words, { terminal, env: {}, ...(commands === undefined ? {} : { commands }) });
  return { code, out: terminal.printed.join('\n'), err: terminal.complained.join('\n') };
}

describe('command lines', () => {
  test('a downgrade with everything', async () => {
    const { name, invocation } = await parse(
      ...['downgrade', 'acme-eu', '--to', 'v5', '--from', 'v7', '--accept-data-loss', 'abc', '--by', 'eve', '--wait'],
      ...['--config', 'x.yaml', '--json', '--log', 'json'],
    );
    expect(name).toBe('downgrade');
    expect(invocation.args).toEqual(['acme-eu']);
    expect(invocation.options).toMatchObject({ to: 'v5', from: 'v7', acceptDataLoss: 'abc', by: 'eve', wait: true });
    expect(invocation).toMatchObject({ json: true, logMode: 'json', configFile: 'x.yaml' });
  });

  test('the commands of a group are two words', async () => {
    const { name, invocation } = await parse('catalog', 'show', 'catalogs/shop', '--release', 'v2');
    expect(name).toBe('catalog show');
    expect(invocation.args).toEqual(['catalogs/shop']);
    expect(invocation.options).toMatchObject({ release: 'v2' });
  });

  test('temporal passes everything on, options too', async () => {
    const { invocation } = await parse('temporal', 'workflow', 'list', '--query', 'x=1', '--config', 'theirs');
    expect(invocation.rest).toEqual(['workflow', 'list', '--query', 'x=1', '--config', 'theirs']);
  });

  test.each([
    [['downgrade', 'acme-eu'], /required option '--to <release>'/],
    [['downgrade', '--to', 'v5'], /missing required argument 'instance'/],
    [['downgrad'], /unknown command 'downgrad'[\s\S]*Did you mean downgrade/],
    [['plan', 'acme-eu', '--to', 'v5', '--tp'], /unknown option '--tp'/],
    [['plan', 'acme-eu', 'extra', '--to', 'v5'], /too many arguments/],
    [['status', 'acme-eu', '--log', 'loud'], /Allowed choices are plain, json, debug/],
  ])('%j is refused with 2 and a pointer to the help', async (words, complaint) => {
    const { code, err } = await run(words);
    expect(code).toBe(2);
    expect(err).toMatch(complaint);
    expect(err).toMatch(/Nothing was done. See "pg-unwind .*--help"/);
  });

  test('no command at all is answered with the list of commands and 2', async () => {
    const { code, err } = await run([]);
    expect(code).toBe(2);
    expect(err).toContain('Usage: pg-unwind');
    expect(err).toContain('downgrade');
  });
});

const read = (name: string) =>
  parseYaml(readFileSync(path.join(repository, 'examples', 'shop', name), 'utf8')) as unknown;
const SHOP = read('releases.yaml') as { databases: string[]; releases: { label: string }[] };
const SHOP_RELEASES = SHOP.releases.map(({ label }) => label);
const SHOP_DATA_MIGRATION = String(
  (read('data-migrations.yaml') as { dataMigrations: { id: unknown }[] }).dataMigrations[0]?.id,
);

describe('help', () => {
  test('lists every command and the exit codes', async () => {
    const { code, out } = await run(['--help']);
    expect(code).toBe(0);
    for (const { name } of COMMANDS) expect(out).toContain(name.split(' ')[0]);
    expect(out).toContain('Exit codes: 0 done · 1 unexpected · 2 invalid input');
  });

  test.each(COMMANDS.map((spec) => [spec.name, spec] as const))(
    'of %s has an example that can be typed',
    async (name, spec) => {
      const { code, out } = await run([...name.split(' '), '--help']);
      expect(code).toBe(0);
      expect(out).toMatch(/Examples?(?: \(with what "pg-unwind dev" sets up\))?:\n {2}pg-unwind /);
      expect(spec.examples.length).toBeGreaterThan(0);
      for (const example of spec.examples) {
        expect(out).toContain(`  pg-unwind ${example}`);
        const words = [...example.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '');
        const meant = await parse(...words);
        expect(meant.name).toBe(name);
        if (spec.args?.startsWith('<instance>') === true) expect(meant.invocation.args[0]).toBe('shop-dev');
        if (spec.name === 'data run') expect(meant.invocation.args[1]).toBe(SHOP_DATA_MIGRATION);
        const { to, release, via, database, data } = meant.invocation.options;
        for (const label of [to, release]) expect(SHOP_RELEASES).toContain(label ?? SHOP_RELEASES[0]);
        expect(['every-release', 'every-minor', undefined]).toContain(via);
        expect([...SHOP.databases, undefined]).toContain(database);
        expect([SHOP_DATA_MIGRATION, undefined]).toContain(data);
      }
      if (spec.json === true) expect(out).toContain('--json');
    },
  );

  test('the version is the package’s', async () => {
    const { code, out } = await run(['--version']);
    expect(code).toBe(0);
    expect(out).toMatch(/^\d+\.\d+\.\d+$/);
  });
});

describe('failures', () => {
  const failing = (error: unknown): CommandSpec[] => [
    { name: 'fail', summary: 'fails', examples: ['fail'], json: true, run: () => Promise.reject(error) },
  ];

  test('words for people go to standard error', async () => {
    const { code, out, err } = await run(['fail'], failing(new UnwindError(FailureType.UnknownInstance, 'no "acme"')));
    expect([code, out, err]).toEqual([2, '', 'error: no "acme"']);
  });

  test('with --json there is one document on standard output', async () => {
    const error = new UnwindError(FailureType.UnknownInstance, 'no "acme"', { details: { nearest: ['acme-eu'] } });
    const { code, out, err } = await run(['fail', '--json'], failing(error));
    expect(code).toBe(2);
    expect(JSON.parse(out)).toEqual({
      error: { code: 'UnknownInstance', message: 'no "acme"', details: { nearest: ['acme-eu'] } },
    });
    expect(err).toBe('');
  });

  test('a command line that cannot be read is a JSON document too', async () => {
    const { code, out } = await run(['fail', '--json', '--nonsense'], failing(null));
    expect(code).toBe(2);
    expect(JSON.parse(out)).toMatchObject({ error: { code: 'Usage' } });
  });
});

describe('explain', () => {
  test('a code, whatever its capitals, is told with what follows by itself and what to do', async () => {
    const { code, out } = await run(['explain', 'STEPfailed']);
    expect(code).toBe(0);
    expect(out).toContain('StepFailed  a failure; the run parks');
    expect(out).toContain('What to do: ');
  });

  test('without one all of them are listed; an unknown one names the nearest', async () => {
    const all = JSON.parse((await run(['explain', '--json'])).out) as { code: string }[];
    expect(all.map(({ code }) => code)).toEqual(
      expect.arrayContaining(['DirtyDatabase', 'changedByOthers', 'NoWorker']),
    );
    const { code, err } = await run(['explain', 'stepfaild']);
    expect(code).toBe(2);
    expect(err).toContain('did you mean "StepFailed"?');
  });
});
