import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileExpression } from './expression.ts';

/** Milliseconds for a property with many runs on a loaded machine. */
const slow = 30_000;

describe('an expression', () => {
  it.each([
    ['true', 'any', false],
    ['tool.name == "a"', 'tool', false],
    ['args.x == 1', 'tool', true],
    ['prompt.name == "a"', 'prompt', false],
    ['resource.uri == "a"', 'resource', false],
    ['principal.groups.exists(g, g == "a")', 'any', false],
  ])('%s is about %s', (source, topic, readsArgs) => {
    expect(compileExpression(source).expression).toMatchObject({ topic, readsArgs });
  });

  it.each([
    ['tool.name == "a"', { names: ['a'] }],
    ['"a" == tool.name && args.x == 1', { names: ['a'] }],
    ['tool.name in ["a", "b"] && true', { names: ['a', 'b'] }],
    ['tool.name.startsWith("a")', { prefix: 'a' }],
    ['resource.uri.startsWith("file:") && principal.subject == "a"', { prefix: 'file:' }],
    ['args.x == 1 && tool.name == "a"', undefined],
    ['tool.name == "a" || args.x == 1', undefined],
    ['tool.name == principal.subject', undefined],
    ['tool.name in ["a", principal.subject]', undefined],
  ])('%s is found by its guard', (source, guard) => {
    expect(compileExpression(source).expression?.guard).toEqual(guard);
  });

  it.each([
    ['parentheses', `${'('.repeat(2000)}true${')'.repeat(2000)}`],
    ['negations', `${'!('.repeat(1000)}true${')'.repeat(1000)}`],
    ['lists', `${'['.repeat(1500)}${']'.repeat(1500)}`],
    ['terms', Array.from({ length: 1300 }, () => '1').join('+')],
    ['a long text', `tool.name == "${'x'.repeat(5000)}"`],
  ])('of many %s is refused', (_what, source) => {
    const { expression, errors } = compileExpression(source);
    expect([expression, errors.length > 0]).toEqual([undefined, true]);
  });

  it.each(['constructor == 1', 'args.x == toString', '__proto__ == 1', 'hasOwnProperty("x")', 'tool.constructor == 1'])(
    '%s finds nothing of the language it runs in',
    (source) => {
      expect(compileExpression(source).errors).toHaveLength(1);
    },
  );

  it.each([
    'tool.name.size() > 3',
    'size(args.list) == 1 && args.list[0] == "x"',
    'principal.groups.filter(g, g.startsWith("a")).exists(g, g == "ab")',
    'type(args.x) == int',
    'has(args.x) ? args.x == 1 : false',
    'now - timestamp("2026-01-01T00:00:00Z") > duration("24h")',
    'tool.name.matches("^get_[a-z]+$")',
    'args.text.contains("drop table") || "x" in args',
    '{"a": 1}["a"] == 1',
    'args["project"] == "PROD"',
    'double(args.amount) > 9.5',
  ])('%s is accepted', (source) => {
    expect(compileExpression(source).errors).toEqual([]);
  });

  it(
    'never throws, whatever the text',
    () => {
      const token = fc.constantFrom(
        'tool',
        '.',
        'name',
        '==',
        '"a"',
        '(',
        ')',
        '&&',
        '||',
        '!',
        '[',
        ']',
        'args',
        'exists',
        ',',
        '1',
        '?',
        ':',
        '{',
        '}',
        '\\',
        'r"',
        "'",
        'in',
        '\n',
        '//',
      );
      const anyText = fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.array(token, { maxLength: 30 }).map((tokens) => tokens.join(' ')),
        fc.array(token).map((tokens) => tokens.join('')),
      );
      fc.assert(
        fc.property(anyText, (source) => {
          const { expression, errors } = compileExpression(source);
          expect(expression === undefined).toBe(errors.length > 0);
        }),
        { numRuns: 100 },
      );
    },
    slow,
  );
});
