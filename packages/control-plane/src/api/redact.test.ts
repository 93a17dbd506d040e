import { describe, expect, it } from 'vitest';
import { redact } from './redact.ts';

describe('a resource that is shown', () => {
  it.each([
    [
      'hashes of keys',
      { apiKeys: [{ subject: 'a', sha256: 'f00d' }] },
      { apiKeys: [{ subject: 'a', sha256: '[redacted]' }] },
    ],
    ['hashes at agentgateway', { keyHash: 'sha256:f00d' }, { keyHash: '[redacted]' }],
    ['key sets', { jwks: { inline: '{"keys":[]}' } }, { jwks: { inline: '[redacted]' } }],
    ['key sets at Envoy', { localJwks: { inlineString: '{}' } }, { localJwks: '[redacted]' }],
    ['queries of URLs', { url: 'https://a.example/mcp?key=1' }, { url: 'https://a.example/mcp?[redacted]' }],
  ])('has no %s', (_name, resource, expected) => {
    expect(redact(resource)).toEqual(expected);
  });

  it('has everything else as it is', () => {
    const resource = { text: 'what?', number: 1, none: null, list: [true, { url: 'https://a.example/mcp' }] };
    expect(redact(resource)).toEqual(resource);
  });
});
