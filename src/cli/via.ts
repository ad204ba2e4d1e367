import type { Via } from '../contract/input.js';
import { stringOption, type Invocation, type OptionSpec } from './command.js';

export const VIA_OPTION: OptionSpec = {
  flags: '--via <releases>',
  description: 'stop on the way: every-release, every-minor, or labels with commas between',
};

/** `every-release` and `every-minor` are words; everything else is a list of labels. What it is worth the schema of the input says. */
export function viaOption(options: Invocation['options']): Via | undefined {
  const text = stringOption(options, 'via');
  if (text === undefined) return undefined;
  if (text === 'every-release' || text === 'every-minor') return text;
  return text.split(',').map((label) => label.trim());
}
