import { execFileSync, spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { COMMANDS } from '../../../src/cli/commands/index.js';
import { candidates, type Names } from '../../../src/cli/completion/candidates.js';
import { SCRIPTS, SHELLS } from '../../../src/cli/completion/scripts.js';

const NAMES: Names = {
  instances: async () => ['acme-eu', 'acme-us', 'globex'],
  databases: async (instance) => (instance === 'acme-eu' ? ['frontend', 'codeintel'] : []),
  releases: async (instance) => (instance === 'acme-eu' ? ['v1.0.0', 'v1.1.0', 'v2.0.0'] : []),
  dataMigrations: async (instance) => (instance === 'acme-eu' ? ['3', '7'] : []),
  codes: async () => ['DirtyDatabase', 'changedByOthers'],
};

const complete = (...words: string[]) => candidates(words, COMMANDS, NAMES);

describe('the word under the cursor', () => {
  test.each([
    [['downg'], ['downgrade']],
    [
      ['catalog', ''],
      ['build', 'show'],
    ],
    [['data', 'r'], ['run']],
    [
      ['status', 'acme'],
      ['acme-eu', 'acme-us'],
    ],
    [['status', '--config', 'x.yaml', 'g'], ['globex']],
    [
      ['downgrade', 'acme-eu', '--to', 'v1'],
      ['v1.0.0', 'v1.1.0'],
    ],
    [['downgrade', 'acme-eu', '--to', '=', 'v2'], ['v2.0.0']],
    [
      ['downgrade', 'acme-eu', '--to', '='],
      ['v1.0.0', 'v1.1.0', 'v2.0.0'],
    ],
    [
      ['plan', 'acme-eu', '--via', 'every'],
      ['every-release', 'every-minor'],
    ],
    [
      ['retry', 'acme-eu', '--database', ''],
      ['frontend', 'codeintel'],
    ],
    [
      ['data', 'run', 'acme-eu', ''],
      ['3', '7'],
    ],
    [
      ['abort', 'acme-eu', '--at', ''],
      ['now', 'boundary'],
    ],
    [['explain', 'ch'], ['changedByOthers']],
    [
      ['accept', 'acme-eu', ''],
      ['changedByOthers', 'invalidIndex', 'dataNotAtEnd'],
    ],
    [['status', 'acme-eu', '--j'], ['--json']],
    [['status', 'acme-eu', '--log', 'd'], ['debug']],
    [['status', 'acme-eu', ''], []],
    [['catalog', 'show', './cat'], []],
    [['nonsense', ''], []],
  ])('of %j', async (words, expected) => expect(await complete(...words)).toEqual(expected));

  test('may be every command, and every option of a command', async () => {
    expect(await complete('')).toEqual(
      expect.arrayContaining([...COMMANDS.map(({ name }) => name.split(' ')[0]), '--help', '--version']),
    );
    expect(await complete('downgrade', 'acme-eu', '--')).toEqual(
      expect.arrayContaining(['--to', '--via', '--wait', '--config', '--json', '--log', '--help']),
    );
  });
});

const has = (shell: string) => spawnSync(shell, ['--version']).error === undefined;

describe.each(SHELLS)('the script for %s', (shell) => {
  test.skipIf(!has(shell))('is one that the shell can read (skipped where it is not installed)', () => {
    execFileSync(shell, shell === 'fish' ? ['--no-execute'] : ['-n'], { input: SCRIPTS[shell] });
  });
});

test.skipIf(!has('bash'))('in bash the words typed arrive as they were typed, and each answer is one', () => {
  const typed = ['pg-unwind', 'downgrade', 'acme eu', '--to', ''];
  const quoted = typed.map((word) => `'${word}'`).join(' ');
  const program = `pg-unwind() { printf '%s\\n' "$@" | tr '\\n' ',' >&3; printf 'v 1\\nv2\\n'; }
${SCRIPTS.bash}
COMP_WORDS=(${quoted}) COMP_CWORD=4
exec 3>&1
_pg_unwind pg-unwind
printf '\\n<%s>' "\${COMPREPLY[@]}"; echo; complete -p pg-unwind`;
  const said = execFileSync('bash', ['-c', program], { encoding: 'utf8' }).trim().split('\n');
  expect(said).toEqual([
    'completion,words,--,downgrade,acme eu,--to,,',
    '<v 1>',
    '<v2>',
    'complete -o default -F _pg_unwind pg-unwind',
  ]);
});
