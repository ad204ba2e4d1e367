import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { repository } from '../support/shared.js';

interface Diagnostic {
  readonly code: string;
  readonly filename: string;
}
interface Config {
  ignorePatterns: string[];
  overrides: { files: string[] }[];
}

const planted = path.join(repository, 'test', 'fence', 'src');
const files = (readdirSync(planted, { recursive: true }) as string[]).filter((file) => file.endsWith('.ts')).sort();
const readConfig = () => JSON.parse(readFileSync(path.join(repository, '.oxlintrc.json'), 'utf8')) as Config;

/** Files that break another rule than the arrows. */
const OTHER_RULES: Readonly<Record<string, string>> = {
  'step/cycle-one.ts': 'import(no-cycle)',
  'step/cycle-two.ts': 'import(no-cycle)',
  'step/promise-floating.ts': 'typescript(no-floating-promises)',
  'step/promise-misused.ts': 'typescript(no-misused-promises)',
};
const ruleFor = (file: string) => OTHER_RULES[file] ?? 'eslint(no-restricted-imports)';

/** Every arrow that is drawn, and so must not be reported: a fence that stops everything would pass the other tests. */
const DRAWN = {
  'plan/drawn.ts': ['../contract/x.js', '../catalog/graph.js', '../catalog/releases.js', '../catalog/version.js'],
  'plan/schedule.ts': ['../data/schedule.js'],
  'fleet/drawn.ts': ['../contract/x.js'],
  'catalog/drawn.ts': ['../contract/x.js', '../postgres/x.js', 'node:fs'],
  'catalog/formats/drawn.ts': ['../../contract/x.js', '../graph.js'],
  'postgres/drawn.ts': ['../contract/x.js', 'pg'],
  'postgres/embedded.ts': ['../process/x.js'],
  'journal/ledgers/drawn.ts': ['../../contract/x.js', '../../postgres/x.js', '../../catalog/version.js', 'pg'],
  'step/drawn.ts': ['../contract/x.js', '../journal/x.js', '../postgres/x.js', 'type ../plan/x.js'],
  'data/drawn.ts': ['../contract/x.js', '../journal/x.js', '../postgres/x.js', 'type ../plan/x.js'],
  'data/schedule.ts': ['../contract/x.js'],
  'instance/drawn.ts': ['../contract/x.js', '../config/x.js', '../catalog/x.js', '../plan/x.js', '../step/x.js'],
  'instance/more.ts': ['../journal/x.js', '../postgres/x.js'],
  'config/drawn.ts': ['../contract/x.js', 'node:fs'],
  'temporal/drawn.ts': ['../contract/x.js', '../process/x.js', '@temporalio/client'],
  'activities/drawn.ts': ['../contract/x.js', '../plan/x.js', '../fleet/x.js', '../catalog/x.js', '../postgres/x.js'],
  'activities/more.ts': ['../journal/x.js', '../step/x.js', '../data/x.js', '../config/x.js', '@temporalio/activity'],
  'activities/instance.ts': ['../instance/x.js'],
  'cli/drawn.ts': ['../instance/x.js'],
  'workflows/drawn.ts': ['../contract/x.js', '../plan/x.js', '../fleet/x.js', '@temporalio/workflow', 'zod'],
  'cli/commands/drawn.ts': ['../../contract/x.js', '../../plan/x.js', '../../temporal/x.js', '../../config/x.js'],
  'contract/drawn.ts': ['@temporalio/common', 'zod'],
  'worker.ts': ['./activities/x.js', './temporal/x.js', './config/x.js'],
  'cli.ts': ['./cli/x.js'],
} as const;

async function lint(fill: (source: string) => void): Promise<Diagnostic[]> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'pg-unwind-fence-'));
  try {
    // The project's own rules, but for the pattern that keeps the planted files out of its lint.
    writeFileSync(path.join(folder, '.oxlintrc.json'), JSON.stringify({ ...readConfig(), ignorePatterns: [] }));
    cpSync(path.join(repository, 'tsconfig.json'), path.join(folder, 'tsconfig.json'));
    symlinkSync(path.join(repository, 'node_modules'), path.join(folder, 'node_modules'));
    fill(path.join(folder, 'src'));
    const oxlint = path.join(repository, 'node_modules', '.bin', 'oxlint');
    const printed = await new Promise<string>((resolve, reject) =>
      execFile(
        oxlint,
        ['--type-aware', '--format=json', 'src'],
        { cwd: folder, maxBuffer: 1e8 },
        (error, stdout, stderr) =>
          stdout.startsWith('{')
            ? resolve(stdout)
            : reject(new Error(`oxlint said: ${stdout}${stderr}`, { cause: error })),
      ),
    );
    return (JSON.parse(printed) as { diagnostics: Diagnostic[] }).diagnostics.map(({ code, filename }) => ({
      code,
      filename: path.relative('src', filename),
    }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('the arrows between the rooms of src/', () => {
  let reported: Diagnostic[];
  beforeAll(async () => {
    reported = await lint((source) => cpSync(planted, source, { recursive: true }));
  });

  test.each([...new Set(files.map((file) => file.split('/')[0]))])(
    'each one that leaves %s and is not drawn is reported',
    (room) => {
      const unreported = files
        .filter((file) => file.split('/')[0] === room)
        .filter((file) => !reported.some(({ filename, code }) => filename === file && code === ruleFor(file)));
      expect(unreported).toEqual([]);
    },
  );

  test('every room has a fence and planted violations', () => {
    const rooms = readdirSync(path.join(repository, 'src'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
    const fenced = readConfig().overrides.flatMap((override) => override.files);
    for (const room of rooms) {
      expect(fenced, `a fence for src/${room}`).toContain(`**/src/${room}/**`);
      expect(existsSync(path.join(planted, room)), `planted violations for src/${room}`).toBe(true);
    }
  });

  test('an arrow that is drawn is not reported', async () => {
    const found = await lint((source) => {
      for (const [file, targets] of Object.entries(DRAWN)) {
        const lines = targets.map((target, at) =>
          target.startsWith('type ')
            ? `import type { t${at} } from '${target.slice(5)}';`
            : `export * as t${at} from '${target}';`,
        );
        cpSync(path.join(planted, 'worker.ts'), path.join(source, file)); // makes the folders
        writeFileSync(path.join(source, file), `${lines.join('\n')}\n`);
      }
    });
    expect(found.filter(({ code }) => code === 'eslint(no-restricted-imports)')).toEqual([]);
  });

  test('the planted files are left out of the lint of the project', () => {
    expect(readConfig().ignorePatterns).toContain('test/fence');
  });
});
