import { describe, expect, it } from 'vitest';
import { capabilities } from './capabilities.ts';

const envoy = new Map(capabilities().map(({ feature, planes }) => [feature, planes.envoy]));

describe('the matrix of features by data plane', () => {
  it('says of Envoy what its projection reports', () => {
    expect(envoy.get('rules: arguments: equality')?.support).toBe('yes');
    expect(envoy.get('rules: arguments: presence')).toEqual({
      support: 'partly',
      note: expect.stringContaining('only in rules that allow; a missing force'),
    });
    expect(envoy.get('rules: comparison of two fields')?.support).toBe('no');
    expect(envoy.get('API keys')?.note).toContain('by their hash');
    expect(envoy.get('JWT, key set inline')?.support).toBe('yes');
  });

  it('explains everything that is not there', () => {
    const silent = [...envoy].filter(([, { support, note }]) => support !== 'yes' && note === '');
    expect(silent).toEqual([]);
  });

  it('names each feature once', () => {
    expect(envoy.size).toBe(capabilities().length);
  });
});
