import { ExitCode } from '../../contract/errors.js';
import type { CommandSpec } from '../command.js';
import { candidates } from '../completion/candidates.js';
import { configuredNames } from '../completion/names.js';
import { SCRIPTS, SHELLS, type Shell } from '../completion/scripts.js';
import { CliFailure, CommandError } from '../failure.js';

/** What the scripts call for each Tab: `completion words -- <words typed>`. */
const WORDS = 'words';

export function completionCommand(specs: () => readonly CommandSpec[]): CommandSpec {
  return {
    name: 'completion',
    args: '<shell> [words...]',
    summary: 'Print the script that completes command lines in bash, zsh or fish.',
    details:
      'bash: source <(pg-unwind completion bash), in ~/.bashrc. zsh: source <(pg-unwind completion zsh), behind compinit in ~/.zshrc. ' +
      'fish: pg-unwind completion fish > ~/.config/fish/completions/pg-unwind.fish. It completes commands, options, instances of the ' +
      'configuration that applies, releases of their catalogs, databases and codes, and asks no server.',
    examples: ['completion bash', 'completion fish'],
    withoutConfig: true,
    async run({ args: [shell = '', ...words], terminal, env }) {
      if (shell === WORDS) {
        const found = await candidates(words, specs(), configuredNames(configIn(words), env)).catch(() => []);
        if (found.length > 0) terminal.out(found.join('\n'));
        return ExitCode.done;
      }
      if (!SHELLS.some((known) => known === shell)) {
        throw new CommandError(
          CliFailure.Usage,
          `There is a completion for ${SHELLS.join(', ')}, none for "${shell}". Nothing was done.`,
        );
      }
      terminal.out(SCRIPTS[shell as Shell].trimEnd()); // just compared
      return ExitCode.done;
    },
  };
}

function configIn(words: readonly string[]): string | undefined {
  const at = words.indexOf('--config');
  return at < 0 ? undefined : words[words[at + 1] === '=' ? at + 2 : at + 1];
}
