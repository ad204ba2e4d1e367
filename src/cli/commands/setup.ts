import { ExitCode } from '../../contract/errors.js';
import type { CommandSpec } from '../command.js';
import { withTemporal } from '../session.js';
import { printJson } from '../terminal.js';

export const setupCommand: CommandSpec = {
  name: 'setup',
  summary: 'Register the search attributes of pg-unwind in the Temporal namespace; once per namespace.',
  details:
    'Runs work without them; with them, lists of runs can be filtered by state, product, release and progress. Safe to repeat.',
  examples: ['setup'],
  json: true,
  async run(invocation) {
    const { registeredSearchAttributes, registerSearchAttributes, searchAttributeFlags } =
      await import('../../temporal/search-attributes.js');
    return withTemporal(invocation, async ({ connection, namespace }) => {
      const { terminal, json } = invocation;
      const registered = await registerSearchAttributes(connection, namespace);
      const { ofAnotherType } = await registeredSearchAttributes(connection, namespace);
      if (json) {
        printJson(terminal, { namespace, registered, ofAnotherType });
      } else {
        const names = searchAttributeFlags().join(', ');
        terminal.out(
          registered.length === 0
            ? `The namespace "${namespace}" has them all: ${names}.`
            : `Registered in the namespace "${namespace}": ${registered.join(', ')}. Workers started from now on use them.`,
        );
        for (const { name, expected, found } of ofAnotherType) {
          terminal.err(
            `warning: ${name} exists as ${found}, not as ${expected}: runs go on without search attributes. ` +
              `Remove it with "temporal operator search-attribute remove --name ${name}", then run this again.`,
          );
        }
      }
      return ofAnotherType.length === 0 ? ExitCode.done : ExitCode.needsOperator;
    });
  },
};
