import { patternSize } from '@signalbox/config';

/** Terms of a pattern, so that its program stays within the bound that the bootstrap sets. */
const maxPatternSize = 500;

/** What of a pattern Envoy cannot match. */
export function patternGap(pattern: string): string | undefined {
  return patternSize(pattern) > maxPatternSize ? 'a pattern that is too large for it' : undefined;
}
