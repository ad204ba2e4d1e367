import { resolvePayloadKeys } from '../../config/encryption.js';
import { ExitCode, FailureType, UnwindError } from '../../contract/errors.js';
import { stringOption, type CommandSpec } from '../command.js';
import { onInterrupt } from '../interrupt.js';
import { openConfig } from '../session.js';

/** Of the development server's Web UI, and of the one in docker-compose.yml. */
const ORIGINS = 'http://localhost:8233,http://127.0.0.1:8233,http://localhost:8080,http://127.0.0.1:8080';

export const codecServerCommand: CommandSpec = {
  name: 'codec-server',
  summary: 'Decrypt payloads for the Temporal CLI and the Web UI, where temporal.encryption is set; until Ctrl-C.',
  details:
    'Give its address to "temporal --codec-endpoint" or to the Web UI (the glasses in the top bar). Whoever can reach it can read what is ' +
    'encrypted: it listens on this machine alone unless --listen says otherwise, and browsers may ask from --allow-origin only.',
  options: [
    { flags: '--listen <host:port>', description: 'where to listen', default: '127.0.0.1:8234' },
    {
      flags: '--allow-origin <origins>',
      description: 'the addresses of Web UIs, with commas between',
      default: ORIGINS,
    },
  ],
  examples: ['codec-server', 'codec-server --listen 127.0.0.1:9000 --allow-origin https://temporal.example.org'],
  async run(invocation) {
    const { options, terminal, env } = invocation;
    const keys = await resolvePayloadKeys(openConfig(invocation).temporal.encryption, env);
    if (keys.length === 0) {
      throw new UnwindError(
        FailureType.InvalidConfig,
        'The configuration has no temporal.encryption: nothing of its runs is encrypted, so there is nothing to decrypt. Nothing was started.',
      );
    }
    const { openCodecServer } = await import('../../temporal/codec-server.js');
    const interrupt = onInterrupt();
    try {
      const origins = (stringOption(options, 'allowOrigin') ?? '').split(',').map((origin) => origin.trim());
      const listen = stringOption(options, 'listen') ?? '';
      const server = await openCodecServer({ listen, origins, keys, warn: (line) => terminal.err(`warning: ${line}`) });
      terminal.out(`Decrypting at ${server.url} until Ctrl-C, with the keys ${keys.map(({ id }) => id).join(', ')}.`);
      await interrupt.arrived;
      await server.close();
    } finally {
      interrupt.release();
    }
    return ExitCode.done;
  },
};
