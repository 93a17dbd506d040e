import { describe, expect, it } from 'vitest';
import { patternSize, ruleCondition } from './rule-condition.ts';

const field = (variable: string, ...path: string[]) => ({ variable, path });

describe('the condition of a rule', () => {
  it.each([
    ['true', { kind: 'constant', value: true }],
    ['tool.name == "a"', { kind: 'equals', field: field('tool', 'name'), value: 'a' }],
    ['"a" == tool.name', { kind: 'equals', field: field('tool', 'name'), value: 'a' }],
    ['args["x y"].z != -5', { kind: 'not', term: { kind: 'equals', field: field('args', 'x y', 'z'), value: -5n } }],
    ['has(args.a.b)', { kind: 'has', field: field('args', 'a', 'b') }],
    ['args.dry', { kind: 'flag', field: field('args', 'dry') }],
    ['args["dry"]', { kind: 'flag', field: field('args', 'dry') }],
    ['"a" in args.tags', { kind: 'holds', field: field('args', 'tags'), value: 'a' }],
    ['5 < args.n', { kind: 'order', test: '>', field: field('args', 'n'), value: 5n }],
    ['double(args.n) <= 0.5', { kind: 'order', test: '<=', field: field('args', 'n'), value: 0.5 }],
    ['args.p.matches("^a$")', { kind: 'text', test: 'matches', field: field('args', 'p'), text: '^a$' }],
  ])('of %s is known by its parts', (when, condition) => {
    expect(ruleCondition(when)).toEqual(condition);
  });

  it('keeps the structure of what is joined', () => {
    const [a, b, c] = ['a', 'b', 'c'].map((name) => ({ kind: 'flag', field: field('args', name) }));
    expect(ruleCondition('args.a && (args.b || !args.c)')).toEqual({
      kind: 'all',
      terms: [a, { kind: 'any', terms: [b, { kind: 'not', term: c }] }],
    });
    expect(ruleCondition('args.a ? args.b : args.c')).toEqual({ kind: 'choice', test: a, then: b, else: c });
  });

  it.each([
    ['args.a == args.b', 'a comparison of two fields, or of a computed value'],
    ['args.a.exists(x, x == "y")', 'a loop over a list or map'],
    ['size(args.a) > 1', 'a comparison of what are no numbers, or of two fields'],
    ['args.a in []', '`in` of an empty list'],
    ['args[args.b]', 'an index that is no literal text'],
  ])('of %s names what is beyond that', (when, feature) => {
    expect(ruleCondition(when)).toEqual({ kind: 'other', feature });
  });
});

describe('the size of a pattern', () => {
  it('counts repetitions as often as they are written out', () => {
    expect(patternSize('^[a-z]+$')).toBe(8);
    expect(patternSize('a{20}b{2,30}')).toBeGreaterThan(20 * 30);
  });

  it('is unbounded where only the engine knows', () => {
    expect(patternSize('\\p{L}')).toBe(Number.POSITIVE_INFINITY);
    expect(patternSize('\\Qa')).toBe(Number.POSITIVE_INFINITY);
  });
});
