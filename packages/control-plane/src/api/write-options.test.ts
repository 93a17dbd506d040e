import { describe, expect, it } from 'vitest';

import { fingerprint, writeOptions } from './write-options.ts';

const requestId = '7D1A2F6E-52B5-4C1F-9A51-3A1DE2F1B001';
const options = (more: Partial<Parameters<typeof writeOptions>[0]> = {}, header?: string) =>
  writeOptions(
    { requestId: '', message: '', ...more },
    new Headers(header === undefined ? {} : { 'if-match': header }),
    10,
  );

describe('conditions of a write', () => {
  it('are none by default', () => {
    expect(options()).toEqual({ ifMatch: undefined, requestId: undefined, message: '' });
  });

  it('name a revision by field or header, quoted or not', () => {
    expect(options({ ifMatch: 0n }).ifMatch).toBe(0n);
    expect(options({}, '"42"').ifMatch).toBe(42n);
    expect(options({}, '42').ifMatch).toBe(42n);
    expect(options({ ifMatch: 42n }, '42').ifMatch).toBe(42n);
  });

  it.each(['*', 'W/"1"', '"1", "2"', '-1', '1.5', '99999999999999999999'])(
    'do not understand If-Match: %s',
    (header) => {
      expect(() => options({}, header)).toThrow('If-Match must be a revision number');
    },
  );

  it('cannot name two revisions', () => {
    expect(() => options({ ifMatch: 1n }, '2')).toThrow('different revisions');
  });

  it('take a UUID in any case as one request id', () => {
    expect(options({ requestId }).requestId).toBe(requestId.toLowerCase());
    expect(() => options({ requestId: 'x' })).toThrow('must be a UUID');
  });

  it('bound the message', () => {
    expect(options({ message: 'x'.repeat(10) }).message).toHaveLength(10);
    expect(() => options({ message: 'x'.repeat(11) })).toThrow('longer than 10');
  });
});

describe('a fingerprint', () => {
  it('tells requests apart by content and structure', () => {
    expect(fingerprint('a', ['b'])).toBe(fingerprint('a', ['b']));
    expect(fingerprint('a', ['b'])).not.toBe(fingerprint('a', 'b'));
    expect(fingerprint('a', 'b')).not.toBe(fingerprint('ab'));
  });
});
