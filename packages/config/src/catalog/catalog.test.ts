import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, type Json } from './canonical-json.ts';
import { catalogDigest, type Descriptor, readDescriptor } from './descriptor.ts';
import { fieldChanges } from './drift.ts';
import { estimatedTokens, toolTokens } from './token-weight.ts';

const read = (text: string) => readDescriptor('tool', Buffer.from(text)) as Descriptor;

describe('the canonical form', () => {
  it('is that of RFC 8785 for its own example of keys and numbers', () => {
    const value = JSON.parse(
      '{"b":[333333333.33333329,1E30,4.50,2e-3,1e-27],"a":"\\u20ac$\\u000F","\\u0000":null}',
    ) as Json;
    expect(canonicalJson(value)).toBe('{"\\u0000":null,"a":"€$\\u000f","b":[333333333.3333333,1e+30,4.5,0.002,1e-27]}');
  });

  it('is the same whatever the order of keys, and says the same as the value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value as Json);
        expect(canonicalJson(reversed(value as Json))).toBe(text);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('does not exist for numbers that no double can hold', () => {
    expect(() => canonicalJson(JSON.parse('1e999') as Json)).toThrow(RangeError);
  });
});

function reversed(value: Json): Json {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return (value as readonly Json[]).map(reversed);
  const entries = Object.entries(value as { readonly [key: string]: Json });
  return Object.fromEntries(entries.reverse().map(([key, one]) => [key, reversed(one)]));
}

describe('a descriptor', () => {
  it('keeps its bytes, and its digest does not depend on spaces and the order of keys', () => {
    const [a, b] = [
      read('{"name":"x","inputSchema":{"type":"object"}}'),
      read('{ "inputSchema": {"type":"object"}, "name":"x"}'),
    ];
    expect(Buffer.from(b.bytes).toString()).toBe('{ "inputSchema": {"type":"object"}, "name":"x"}');
    expect(a.digest).toBe(b.digest);
    expect(a.digest).toMatch(/^[0-9a-f]{64}$/);
  });

  it.each([
    ['a word of the text', '{"name":"x","description":"b"}'],
    ['a space within the text', '{"name":"x","description":"a "}'],
    ['a field that nobody knows', '{"name":"x","description":"a","later":1}'],
    ['its _meta', '{"name":"x","description":"a","_meta":{"ui":{}}}'],
    ['its name', '{"name":"y","description":"a"}'],
  ])('has another digest when %s is another', (_what, text) => {
    expect(read(text).digest).not.toBe(read('{"name":"x","description":"a"}').digest);
  });

  it('of another kind has another digest', () => {
    const prompt = readDescriptor('prompt', Buffer.from('{"name":"x"}')) as Descriptor;
    expect(prompt.digest).not.toBe(read('{"name":"x"}').digest);
  });

  it.each(['', '[]', '{"name":1}', '{"name":""}', '{"title":"x"}', '{"name":"x"', '{"name":"x","n":1e999}', '\xff'])(
    'is not %j, and the fault says so',
    (text) => {
      expect(readDescriptor('tool', Buffer.from(text, 'latin1'))).toHaveProperty('fault');
    },
  );

  it('is told from others with the same digest of all by its place in the list only', () => {
    const [a, b] = [read('{"name":"a"}'), read('{"name":"b"}')];
    expect(catalogDigest([a, b])).toBe(catalogDigest([b, a]));
    expect(catalogDigest([a])).not.toBe(catalogDigest([a, b]));
  });
});

describe('drift', () => {
  const before = {
    name: 'x',
    description: 'a',
    inputSchema: { properties: { city: { type: 'string' } }, required: ['city'] },
  };

  it('is every place that differs, with what stood and what stands there', () => {
    const after = {
      ...{ name: 'x', title: 'X' },
      inputSchema: { properties: { city: { type: 'number' } }, required: ['city', 'path'] },
    };
    expect(fieldChanges(before, after, 10)).toEqual([
      { path: 'description', before: '"a"', after: undefined },
      { path: 'inputSchema.properties.city.type', before: '"string"', after: '"number"' },
      { path: 'inputSchema.required', before: '["city"]', after: '["city","path"]' },
      { path: 'title', before: undefined, after: '"X"' },
    ]);
  });

  it('looks into lists of the same length', () => {
    expect(fieldChanges([{ a: 1 }, 2], [{ a: 2 }, 2], 10)).toEqual([{ path: '[0].a', before: '1', after: '2' }]);
  });

  it('is nothing between equal values, and never more than asked for', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        expect(fieldChanges(a as Json, a as Json, 5)).toEqual([]);
        const isSame = canonicalJson(a as Json) === canonicalJson(b as Json);
        const { length } = fieldChanges(a as Json, b as Json, 3);
        expect(isSame ? length === 0 : length > 0 && length <= 3).toBe(true);
      }),
    );
  });
});

describe('the weight of a tool', () => {
  it('grows with its text, and counts other scripts by the character', () => {
    expect(estimatedTokens('')).toBe(0);
    expect(estimatedTokens('abcdefgh')).toBe(2);
    expect(estimatedTokens('天気予報')).toBe(4);
    expect(toolTokens({ name: 'a', description: 'long '.repeat(100) })).toBeGreaterThan(120);
  });
});
