import type { CheckVerdict } from '../../contract/activities.js';
import { ExitCode } from '../../contract/errors.js';
import { argument, type CommandSpec } from '../command.js';
import { withEngine } from '../session.js';
import { printJson, type Terminal } from '../terminal.js';

export const checkCommand: CommandSpec = {
  name: 'check',
  args: '<instance>',
  summary: 'Compare every database of an instance with what its journal and ledger say; needs no Temporal.',
  details: 'Changes nothing. Exit code 3 when a database is dirty: each reason comes with its evidence and its remedy.',
  examples: ['check shop-dev', 'check shop-dev --json'],
  json: true,
  run: (invocation) =>
    withEngine(invocation, async (engine) => {
      const { terminal, json } = invocation;
      const verdicts = await engine.check({ instance: argument(invocation, 0) });
      if (json) printJson(terminal, verdicts);
      else terminal.out(checkText(verdicts, terminal.colors));
      return Object.values(verdicts).every(({ clean }) => clean) ? ExitCode.done : ExitCode.needsOperator;
    }),
};

export function checkText(verdicts: Readonly<Record<string, CheckVerdict>>, colors: Terminal['colors']): string {
  const width = Math.max(0, ...Object.keys(verdicts).map((name) => name.length));
  return Object.entries(verdicts)
    .flatMap(([database, { clean, reasons, warnings, how, tookMs }]) => [
      `${database.padEnd(width)}  ${clean ? colors.green('clean') : colors.red('dirty')}  (${how}, ${tookMs.toFixed(1)} ms)`,
      ...reasons.flatMap(({ code, evidence, remedy }) => [
        `  - ${code}: ${evidence}`,
        ...(remedy === '' ? [] : [`    what to do: ${remedy}`]),
      ]),
      ...warnings.map(({ code, text }) => `  ${colors.yellow('warning')} ${code}: ${text}`),
    ])
    .join('\n');
}
