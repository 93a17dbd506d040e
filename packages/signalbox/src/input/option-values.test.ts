import { describe, expect, it } from 'vitest';
import { collect, parseCount, parseDuration, parsePort } from './option-values.ts';

describe('parseDuration', () => {
  it.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['2m', 120_000],
    ['12h', 43_200_000],
    ['90d', 7_776_000_000],
  ])('reads %s as %i milliseconds', (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds);
  });

  it.each(['30', 's', '-1s', '1.5s', '1 s', ''])('refuses "%s" with an example', (text) => {
    expect(() => parseDuration(text)).toThrow('such as 500ms');
  });
});

describe('parsePort', () => {
  it('takes 1 to 65535 and nothing else', () => {
    expect([parsePort('1'), parsePort('65535')]).toEqual([1, 65_535]);
    for (const text of ['0', '65536', '80x', '']) expect(() => parsePort(text)).toThrow('1 to 65535');
  });
});

describe('parseCount', () => {
  it('refuses what is no whole number', () => {
    expect(parseCount('7')).toBe(7);
    for (const text of ['-1', '1.5', 'seven', '']) expect(() => parseCount(text)).toThrow('whole number');
  });
});

describe('collect', () => {
  it('gathers an option that is given several times, in order', () => {
    expect(['b', 'c'].reduce((all: readonly string[], text) => collect(text, all), collect('a', undefined))).toEqual([
      'a',
      'b',
      'c',
    ]);
  });
});
