import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import type { z } from 'zod';
import { COMMANDS } from '../../src/cli/commands/index.js';
import { errorsPage } from '../../src/cli/explain/page.js';
import { CliFailure } from '../../src/cli/failure.js';
import { parseCommandLine } from '../../src/cli/program.js';
import { parseConfig } from '../../src/config/load.js';
import { configSchema } from '../../src/config/schema.js';
import { ExitCode, FailureType } from '../../src/contract/errors.js';
import { dataWorkflowIdOf, TASK_QUEUE, workflowIdOf, WorkflowType } from '../../src/contract/ids.js';
import { parseDataInput, parseUnwindInput, unwindInputSchema } from '../../src/contract/input.js';
import { UpdateName } from '../../src/contract/messages.js';
import { SEARCH_ATTRIBUTES } from '../../src/contract/search-attributes.js';
import { Answer } from '../../src/journal/answers.js';
import { repository } from '../support/shared.js';
import { collectingTerminal } from './cli/collecting-terminal.js';

const read = (file: string) => readFileSync(path.join(repository, file), 'utf8');

const markdownIn = (folder: string) =>
  (readdirSync(path.join(repository, folder), { recursive: true }) as string[])
    .filter((file) => file.endsWith('.md'))
    .map((file) => path.join(folder, file));

const DOCUMENTS = [
  ...['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'examples/shop/README.md'],
  ...markdownIn('docs'),
].sort();

interface Block {
  readonly file: string;
  readonly language: string;
  readonly text: string;
}

const BLOCKS = DOCUMENTS.flatMap((file): Block[] =>
  [...read(file).matchAll(/^```(\w*)\n([^]*?)^```$/gm)].map(([, language = '', text = '']) => ({
    file,
    language,
    text,
  })),
);

/** Lines of the shell blocks, continued ones joined, without comments: `[file, line]`. */
const SHELL_LINES = BLOCKS.filter(({ language }) => language === 'sh').flatMap(({ file, text }) =>
  text
    .replaceAll('\\\n', ' ')
    .split('\n')
    .flatMap((line) => line.split(' && '))
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => [file, line] as const),
);

/** Words as a shell takes them; enough for lines without expansions. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    ([, single, double, bare]) => single ?? double ?? bare ?? '',
  );
}

function optionsOf(words: readonly string[]): Map<string, string> {
  return new Map(words.flatMap((word, at) => (word.startsWith('--') ? [[word, words[at + 1] ?? ''] as const] : [])));
}

/** What GitHub makes of a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{Letter}\p{Number}\s_-]/gu, '')
    .trim()
    .replaceAll(' ', '-');
}

const headingsOf = (file: string) =>
  [
    ...read(file)
      .replace(/^```[^]*?^```$/gm, '')
      .matchAll(/^(#+) (.*)$/gm),
  ].map(([, level = '', text = '']) => ({
    level: level.length,
    text,
  }));

/** First cells of the rows of all tables of a file that are one piece of code, with the other cells. */
function codeRows(file: string): { key: string; cells: string[] }[] {
  return [...read(file).matchAll(/^\| `([^`]+)` +\|(.*)\|$/gm)].map(([, key = '', rest = '']) => ({
    key,
    cells: rest.split('|').map((cell) => cell.trim()),
  }));
}

const PREFIX = /^(?:npm run -s pg-unwind -- |pg-unwind )/;
const OWN_LINES = SHELL_LINES.filter(([, line]) => PREFIX.test(line));

describe('commands in the documents', () => {
  test('there are some', () => {
    expect(OWN_LINES.length).toBeGreaterThan(15);
  });

  test.each(OWN_LINES)('%s: %s', async (_, line) => {
    const words = wordsOf(line.replace(PREFIX, ''));
    const parsed = await parseCommandLine(words, COMMANDS, { terminal: collectingTerminal(), env: {}, version: '0' });
    expect(parsed.kind).toBe('run');
  });

  test('every command named in running text exists, and the README names all of them', () => {
    const named = DOCUMENTS.flatMap((file) =>
      [...read(file).matchAll(/`pg-unwind ([a-z]+(?:-[a-z]+)*)(?: ([a-z]+))?/g)].map(([, first = '', second = '']) => ({
        file,
        first,
        both: `${first} ${second}`,
      })),
    );
    const known = COMMANDS.map(({ name }) => name);
    const unknown = named.filter(({ first, both }) => !known.includes(first) && !known.includes(both));
    expect(unknown).toEqual([]);
    const readme = read('README.md');
    expect(
      known.filter((name) => !readme.includes(`pg-unwind ${name}`) && !readme.includes(`npm run ${name}`)),
    ).toEqual([]);
  });

  test('every npm script named exists', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = DOCUMENTS.flatMap((file) => [...read(file).matchAll(/npm run (?:-s )?([\w:-]+)/g)]).map(
      ([, it]) => it,
    );
    expect(named.filter((name) => name !== undefined && scripts[name] === undefined)).toEqual([]);
    expect(read('README.md')).toMatch(/^npm test$/m);
  });

  const temporalLines = SHELL_LINES.filter(([, line]) => line.startsWith('temporal workflow '));

  test('the README has the plain start, word for word', () => {
    expect(temporalLines.map(([, line]) => line)).toContain(
      `temporal workflow start --type downgrade --task-queue pg-unwind --workflow-id unwind/acme-eu --fail-existing --input '{"instance":"acme-eu","to":"v5.8.1579"}'`,
    );
  });

  test.each(temporalLines)('%s: %s', (_, line) => {
    const [, , verb = '', ...rest] = wordsOf(line);
    const options = optionsOf(rest);
    const input = options.has('--input') ? (JSON.parse(options.get('--input') ?? '') as unknown) : undefined;
    if (verb === 'list') {
      const asked = [...(options.get('--query') ?? '').matchAll(/(\w+)=/g)].map(([, name]) => name);
      expect(SEARCH_ATTRIBUTES.map(({ name }) => name)).toEqual(expect.arrayContaining(asked));
      return;
    }
    const data = options.get('--type') === WorkflowType.dataMigration;
    const [, id] = /\/data\/(\d+)$/.exec(options.get('--workflow-id') ?? '') ?? [];
    expect(options.get('--workflow-id')).toBe(id ? dataWorkflowIdOf('acme-eu', id) : workflowIdOf('acme-eu'));
    if (verb === 'start') expect((input as { id?: string }).id).toBe(data ? id : undefined);
    if (verb === 'start') {
      expect(Object.values(WorkflowType)).toContain(options.get('--type'));
      expect(options.get('--task-queue')).toBe(TASK_QUEUE);
      expect(() => (data ? parseDataInput : parseUnwindInput)(input)).not.toThrow();
    }
    if (verb === 'update') {
      expect(Object.values(UpdateName)).toContain(options.get('--name'));
      expect(
        Object.keys((input ?? {}) as object).filter(
          (key) => !['plan', 'release', 'database', 'at', 'blockers', 'code', 'ledger', 'by', 'why'].includes(key),
        ),
      ).toEqual([]);
    }
  });

  test('the README has every field of the input and every exit code', () => {
    const rows = codeRows('README.md').map(({ key }) => key);
    expect(rows).toEqual(expect.arrayContaining(Object.keys(unwindInputSchema.shape)));
    const codes = [...read('README.md').matchAll(/^\| (\d+) +\|/gm)].map(([, code]) => Number(code));
    expect(codes).toEqual([...Object.values(ExitCode), 130]);
  });
});

describe('names in the documents', () => {
  const listIn = (type: string) => {
    const [, body = ''] = new RegExp(`type ${type} =([^;]*);`).exec(read('src/contract/dirty.ts')) ?? [];
    return [...body.matchAll(/'(\w+)'/g)].map(([, code]) => code);
  };

  test('docs/dirty.md has a heading for each DirtyCode, and no other', () => {
    const headings = headingsOf('docs/dirty.md').flatMap(({ level, text }) =>
      level === 3 ? [text.replaceAll('`', '')] : [],
    );
    expect(listIn('DirtyCode').length).toBeGreaterThan(5);
    expect(headings).toEqual(listIn('DirtyCode'));
    expect(codeRows('docs/dirty.md').map(({ key }) => key)).toEqual(listIn('DirtyWarningCode'));
  });

  test('docs/dirty.md has a way on for each state, and none of them is to force it', () => {
    expect(read('docs/dirty.md')).not.toMatch(/force/i);
    const named = [...read('docs/dirty.md').matchAll(/^(\w+): (?:The|Script|"|database)/gm)].map(([, name]) => name);
    expect(named.length).toBeGreaterThan(4);
    expect(named.filter((name) => !Object.values<string | undefined>(FailureType).includes(name))).toEqual([]);
  });

  test('docs/errors.md is what the source says; "npm run docs" writes it', () => {
    expect(read('docs/errors.md')).toBe(errorsPage());
    const codes = headingsOf('docs/errors.md').flatMap(({ level, text }) =>
      level === 3 ? [text.replaceAll('`', '')] : [],
    );
    expect(codes.toSorted()).toEqual(
      [
        ...Object.values(FailureType),
        ...listIn('DirtyCode'),
        ...Object.values(CliFailure).filter((code) => code !== CliFailure.Unexpected),
      ].toSorted(),
    );
  });

  test('docs/operations.md names no failure that does not exist', () => {
    const [, table = ''] = /^\| failure[^]*?\n((?:\|.*\n)+)/m.exec(read('docs/operations.md')) ?? [];
    const named = [...table.matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name);
    expect(named.length).toBeGreaterThan(8);
    expect(named.filter((name) => !Object.values<string | undefined>(FailureType).includes(name))).toEqual([]);
  });

  test('docs/journal.md has a heading for each table of the schema, and no other', () => {
    const tables = [...read('src/journal/schema.sql').matchAll(/create table if not exists pgunwind\.(\w+)/g)].map(
      ([, table]) => table,
    );
    const headings = headingsOf('docs/journal.md')
      .filter(({ level }) => level === 3)
      .flatMap(({ text }) => [...text.matchAll(/`(\w+)`/g)].map(([, table]) => table));
    expect(headings.toSorted()).toEqual(tables.toSorted());
  });

  test('docs/configuration.md has every key with its default, and no other', () => {
    const described = codeRows('docs/configuration.md')
      .filter(({ key }) => key.includes('.'))
      .map(({ key, cells: [value] }) => ({ key, value }));
    const byKey = (a: { key: string }, b: { key: string }) => (a.key < b.key ? -1 : 1);
    expect(described.sort(byKey)).toEqual(keysOf(configSchema).sort(byKey));
  });

  test('every picture is shown somewhere, and none is heavier than 200 kB', () => {
    const all = DOCUMENTS.map(read).join('\n');
    const pictures = readdirSync(path.join(repository, 'docs/img'));
    expect(pictures.length).toBeGreaterThan(5);
    expect(pictures.filter((name) => !all.includes(`img/${name}`))).toEqual([]);
    expect(pictures.filter((name) => statSync(path.join(repository, 'docs/img', name)).size > 200_000)).toEqual([]);
  });

  test('every configuration shown can be read', () => {
    const shown = BLOCKS.filter(({ language, text }) => language === 'yaml' && /^instances:/m.test(text));
    expect(shown.length).toBeGreaterThan(2);
    for (const { text } of shown) expect(() => parseConfig(text, '/etc/pg-unwind.yaml')).not.toThrow();
    expect(() => parseConfig(read('deploy/config/pg-unwind.yaml'), '/etc/pg-unwind/pg-unwind.yaml')).not.toThrow();
  });

  test('the worked example of a data migration is the one that the demo runs', () => {
    const shown = BLOCKS.filter(({ file, language }) => file === 'docs/data-migrations.md' && language === 'yaml');
    expect(shown.map(({ text }) => parseYaml(text) as unknown)).toEqual([
      parseYaml(read('examples/shop/data-migrations.yaml')),
    ]);
  });

  test('docs/data-migrations.md has a way on for each failure of its own, and names none that does not exist', () => {
    const rows = [...read('docs/data-migrations.md').matchAll(/^\| `([A-Z]\w+)`/gm)].map(([, name]) => name);
    const { DataFailed, DataStalled, HandlerUnavailable } = FailureType;
    const ofBatches = [Answer.busy, Answer.stale, Answer.incomplete, Answer.behind]; // what hold_batch and batch_done raise
    expect(rows).toEqual(expect.arrayContaining([DataFailed, DataStalled, HandlerUnavailable, ...ofBatches]));
    const known: readonly (string | undefined)[] = [...Object.values(FailureType), ...ofBatches];
    expect(rows.filter((name) => !known.includes(name))).toEqual([]);
  });

  test.each(DOCUMENTS)('the relative links of %s lead somewhere', (file) => {
    const broken = [...read(file).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !/^[a-z]+:/.test(target))
      .filter((target) => {
        const [to = '', anchor] = target.split('#');
        const found = to === '' ? file : path.join(path.dirname(file), to);
        if (!existsSync(path.join(repository, found))) return true;
        return anchor !== undefined && !headingsOf(found).some(({ text }) => anchorOf(text) === anchor);
      });
    expect(broken).toEqual([]);
  });

  test('every room of src/ that has code is on the map', () => {
    const rooms = readdirSync(path.join(repository, 'src'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => `${name}/`);
    const map = codeRows('ARCHITECTURE.md').map(({ key }) => key);
    const withCode = rooms.filter((room) => readdirSync(path.join(repository, 'src', room)).length > 0);
    expect(map).toEqual(expect.arrayContaining(withCode));
  });
});

describe('docker-compose.yml', () => {
  interface Service {
    readonly image?: string;
    readonly depends_on?: Readonly<Record<string, { condition: string }>>;
    readonly volumes?: readonly string[];
    readonly healthcheck?: unknown;
  }
  const compose = parseYaml(read('docker-compose.yml'), { merge: true }) as {
    services: Record<string, Service>;
    volumes: Record<string, unknown>;
  };
  const services = Object.entries(compose.services);

  test('every image has a tag, and none floats', () => {
    for (const [name, { image }] of services) expect(image, name).toMatch(/^[\w./-]+:(?!latest)[\w.-]*\d[\w.-]*$/);
    expect(read('Dockerfile').match(/^FROM \S+/gm)).toEqual([
      'FROM node:20-bookworm-slim',
      'FROM node:20-bookworm-slim',
    ]);
  });

  test('what a service waits for can happen', () => {
    for (const [name, { depends_on = {} }] of services) {
      for (const [other, { condition }] of Object.entries(depends_on)) {
        expect(compose.services, `${name} waits for ${other}`).toHaveProperty(other);
        if (condition === 'service_healthy') expect(compose.services[other]?.healthcheck, other).toBeDefined();
      }
    }
  });

  test('what is mounted is there', () => {
    for (const source of services
      .flatMap(([, { volumes = [] }]) => volumes)
      .map((volume) => volume.split(':')[0] ?? '')) {
      if (source.startsWith('.')) expect(existsSync(path.join(repository, source)), source).toBe(true);
      else expect(compose.volumes).toHaveProperty(source);
    }
  });

  test('the health check of the worker asks where its configuration answers', () => {
    const { worker } = parseYaml(read('deploy/config/pg-unwind.yaml')) as { worker: { healthAddress: string } };
    expect(worker.healthAddress).toMatch(/^0\.0\.0\.0:\d+$/);
    expect(JSON.stringify(compose.services['worker']?.healthcheck)).toContain(
      `http://127.0.0.1:${worker.healthAddress.split(':')[1]}/readyz`,
    );
  });

  test('the server gets both dynamic config values', () => {
    const values = parseYaml(read('deploy/temporal-dynamic-config.yaml')) as Record<string, { value: unknown }[]>;
    expect(values['system.enableActivityEagerExecution']?.[0]?.value).toBe(true);
    expect(values['history.transferProcessorMaxPollRPS']?.[0]?.value).toBe(10_000);
  });
});

describe('deploy/prometheus-alerts.yaml', () => {
  const { groups } = parseYaml(read('deploy/prometheus-alerts.yaml')) as {
    groups: { rules: { alert: string; expr: string; for: string; annotations: { summary: string } }[] }[];
  };
  const rules = groups.flatMap((group) => group.rules);

  test('every rule asks for metrics and labels that a worker has', () => {
    const source = read('src/activities/metrics.ts');
    for (const { alert, expr } of rules) {
      for (const [metric] of expr.matchAll(/pg_unwind_\w+/g)) expect(source, alert).toContain(`'${metric}'`);
      for (const [, states = ''] of expr.matchAll(/state=~?"([\w|]+)"/g)) {
        for (const state of states.split('|')) expect(read('src/contract/messages.ts'), alert).toContain(`'${state}'`);
      }
    }
    expect(rules.map(({ alert }) => alert)).toContain('PgUnwindNeedsOperator');
  });

  test('every rule has a time and words', () => {
    for (const rule of rules) {
      expect(rule.for, rule.alert).toMatch(/^\d+m$/);
      expect(rule.annotations.summary, rule.alert).not.toBe('');
    }
  });
});

describe('metrics', () => {
  test('docs/operations.md lists all that a worker has, and no other', () => {
    const named = (text: string, form: RegExp) => [...text.matchAll(form)].map(([, name]) => name).toSorted();
    const made = named(read('src/activities/metrics.ts'), /create\w+\(\s*'(pg_unwind_\w+)'/g);
    expect(named(read('docs/operations.md'), /^\| `(pg_unwind_\w+)`/gm)).toEqual(made);
  });
});

const textOf = (value: unknown) => (Array.isArray(value) ? JSON.stringify(value) : String(value));

/** The leaves of the schema: `instances.<name>.options.verify`, with the default as the table shows it. */
function keysOf(schema: z.ZodType, at = ''): { key: string; value: string }[] {
  interface Def {
    readonly innerType?: z.ZodType;
    readonly shape?: Record<string, z.ZodType>;
    readonly valueType?: z.ZodType;
    readonly type: string;
    readonly defaultValue?: unknown;
  }
  let here = schema;
  let value = 'required';
  for (;;) {
    const def = here._zod.def as unknown as Def;
    if (def.type === 'default') value = `\`${textOf(def.defaultValue)}\``;
    if (def.type === 'optional' && value === 'required') value = '–';
    if (def.shape !== undefined) {
      return Object.entries(def.shape).flatMap(([key, inner]) => keysOf(inner, at === '' ? key : `${at}.${key}`));
    }
    if (def.valueType !== undefined) {
      const inside = keysOf(def.valueType, `${at}.<name>`);
      // a record of texts: nobody has to write any
      return inside.length === 1 && inside[0]?.key === `${at}.<name>` ? [{ key: `${at}.<name>`, value: '–' }] : inside;
    }
    if (def.innerType === undefined) return [{ key: at, value }];
    here = def.innerType;
  }
}
