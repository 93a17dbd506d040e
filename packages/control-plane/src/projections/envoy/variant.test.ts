import { describe, expect, it } from 'vitest';
import { envoyVariant, withoutMcp } from './variant.ts';

describe('what an Envoy gets by its version', () => {
  it.each([
    ['1.39.3', withoutMcp],
    ['1.36.0', withoutMcp],
    ['0.99.9', withoutMcp],
    ['1.40.0', undefined],
    ['1.41.0', undefined],
    ['2.0.0', undefined],
    ['', undefined],
    ['dev', undefined],
  ])('%s', (userAgentVersion, expected) => {
    expect(envoyVariant({ userAgentVersion })).toBe(expected);
  });
});
