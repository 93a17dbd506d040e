import { describe, expect, it } from 'vitest';
import { canonicalName, isOfType, parseStructuredName } from './resource-name.ts';

describe('structured names', () => {
  it.each([
    ['xdstp://a/test.Leaf/acme/one', { type: 'test.Leaf', collection: 'acme', isGlob: false }],
    ['xdstp://a/test.Leaf/acme/one/two?x=1', { type: 'test.Leaf', collection: 'acme', isGlob: false }],
    ['xdstp://a/test.Leaf/acme/*', { type: 'test.Leaf', collection: 'acme', isGlob: true }],
    ['xdstp://a/test.Leaf/acme/sub/*', { type: 'test.Leaf', collection: 'acme', isGlob: false }],
    ['xdstp:///test.Leaf/acme/one', { type: 'test.Leaf', collection: 'acme', isGlob: false }],
    ['xdstp://a/test.Leaf/acme', undefined],
    ['xdstp://a//acme/one', undefined],
    ['acme/one', undefined],
    ['*', undefined],
  ])('of %s', (name, parts) => {
    expect(parseStructuredName(name)).toEqual(parts);
  });

  it('are equal whatever the order of parameters, and without directives', () => {
    expect(canonicalName('xdstp://a/t/c/n?y=2&x=1#alt=1')).toBe(canonicalName('xdstp://a/t/c/n?x=1&y=2'));
    expect(canonicalName('xdstp://a/t/c/n?x=1')).not.toBe(canonicalName('xdstp://a/t/c/n?x=2'));
  });

  it('leave other names as they are', () => {
    expect(canonicalName('plain?b&a#x')).toBe('plain?b&a#x');
  });

  it('know their type', () => {
    const name = { type: 'test.Leaf', collection: 'acme', isGlob: true };
    expect(isOfType(name, 'type.googleapis.com/test.Leaf')).toBe(true);
    expect(isOfType(name, 'type.googleapis.com/other.Leaf')).toBe(false);
  });
});
