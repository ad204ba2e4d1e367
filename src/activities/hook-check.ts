import { hookOf } from '../config/hooks.js';
import type { Instance } from '../config/instances.js';
import { resolveText } from '../config/secrets.js';
import type { HookName } from '../contract/hooks.js';
import { UnwindError } from '../contract/errors.js';
import { signedHeaders } from './hook-signature.js';
import { urlFault } from './hook-webhook.js';

/**
 * What would park the run at a hook, hours from now perhaps: a URL or a secret that this worker cannot have. A warning, because
 * another worker may, and because there is time to set it.
 */
export async function hookWarnings(
  instance: Instance,
  hooks: readonly HookName[],
  env: NodeJS.ProcessEnv,
): Promise<readonly string[]> {
  const warnings = await Promise.all(
    hooks.map(async (name) => {
      const { url, secret } = hookOf(instance, name)?.webhook ?? {};
      const of = `${instance.name}, hooks.${name}`;
      const otherwise =
        name === 'notify' ? 'Nobody is notified otherwise.' : `The run parks at hooks.${name} otherwise.`;
      try {
        const fault = url === undefined ? null : urlFault(await resolveText(url, { of, what: 'URL', env }));
        if (fault !== null) return [`The URL of ${of} ${fault}. ${otherwise}`];
        if (secret !== undefined) signedHeaders('', '', await resolveText(secret, { of, what: 'secret', env }), 0);
        return [];
      } catch (error) {
        if (error instanceof UnwindError) return [`${error.message} ${otherwise}`];
        const why = error instanceof Error ? error.message : 'cannot be used';
        return [`The secret of ${of} ${why}. ${otherwise}`];
      }
    }),
  );
  return warnings.flat();
}
