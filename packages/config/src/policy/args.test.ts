import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { argsFromJson, argsFromValue } from './args.ts';

describe('arguments as rules see them', () => {
  it('are maps with whole numbers as integers and others as doubles', () => {
    const args = argsFromJson('{"n":1,"d":1.5,"s":"x","t":true,"z":null,"list":[1,{"y":-2}]}');
    expect(args).toEqual(
      new Map<string, unknown>([
        ['n', 1n],
        ['d', 1.5],
        ['s', 'x'],
        ['t', true],
        ['z', null],
        ['list', [1n, new Map([['y', -2n]])]],
      ]),
    );
  });

  it('hold integers exactly up to 64 bits, and larger ones as doubles', () => {
    const args = argsFromJson(
      '{"a":9007199254740993,"b":-9223372036854775808,"c":9223372036854775808,"d":1e300,"e":1}',
    );
    expect([...(args ?? [])].map(([, value]) => value)).toEqual([
      9_007_199_254_740_993n,
      -9_223_372_036_854_775_808n,
      9_223_372_036_854_775_808,
      1e300,
      1n,
    ]);
  });

  it('keep __proto__ as an ordinary key', () => {
    expect(argsFromJson('{"__proto__":{"admin":true}}')).toEqual(new Map([['__proto__', new Map([['admin', true]])]]));
  });

  it('are undefined for anything but an object', () => {
    expect(['[]', '1', 'null', '"x"', '', '{'].map(argsFromJson)).toEqual(Array.from({ length: 6 }, () => undefined));
  });

  it('are undefined when nested too deeply', () => {
    const nested = (depth: number): string => `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    expect(argsFromJson(nested(60))).toBeDefined();
    expect([argsFromJson(nested(70)), argsFromJson(nested(100_000))]).toEqual([undefined, undefined]);
  });

  it('are the same from text and from the value, for any JSON without large integers', () => {
    const anyObject = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 }));
    fc.assert(
      fc.property(anyObject, (value) => {
        const text = JSON.stringify(value);
        fc.pre(!/\d{16}/.test(text));
        expect(argsFromJson(text)).toEqual(argsFromValue(JSON.parse(text)));
      }),
    );
  });
});
