import { describe, expect, it } from 'vitest';
import { headerAnnotationFault, mayHoldAnnotations } from './header-annotations.ts';

const header = (name: unknown, type = 'string') => ({ type, 'x-mcp-header': name });
const object = (properties: object, more: object = {}) => ({ type: 'object', properties, ...more });

describe('x-mcp-header in the input schema of a tool', () => {
  it.each([
    ['no annotation', object({ a: { type: 'string' } })],
    [
      'strings, integers and booleans',
      object({ a: header('A'), b: header('B', 'integer'), c: header('C', 'boolean') }),
    ],
    ['properties of properties', object({ a: object({ b: header('Region') }) })],
    ['a property of that name', object({ 'x-mcp-header': { type: 'string' } })],
  ])('is as it has to be: %s', (_what, schema) => {
    expect(faultOf(schema)).toBeUndefined();
  });

  it.each([
    ['no token', object({ a: header('a b') })],
    ['empty', object({ a: header('') })],
    ['no text', object({ a: header(7) })],
    ['given twice, in another case', object({ a: header('Region'), b: header('region') })],
    ['on a number', object({ a: header('A', 'number') })],
    ['on an object', object({ a: { ...object({}), 'x-mcp-header': 'A' } })],
    ['at the root', { ...object({}), 'x-mcp-header': 'A' }],
    ['in items', object({ a: { type: 'array', items: header('A') } })],
    ['in a composition', object({}, { allOf: [object({ a: header('A') })] })],
    ['in a condition', object({}, { if: object({ a: header('A') }) })],
    ['in definitions', object({}, { $defs: { a: header('A') } })],
  ])('is a fault: %s', (_what, schema) => {
    expect(faultOf(schema)).toMatch(/x-mcp-header/);
  });

  it('is looked for only where it may be', () => {
    expect(mayHoldAnnotations(Buffer.from('{"tools":[]}'))).toBe(false);
    expect(mayHoldAnnotations(Buffer.from('{"x-mcp-header":1}'))).toBe(true);
  });
});

function faultOf(inputSchema: object): string | undefined {
  const bytes = Buffer.from(JSON.stringify({ name: 'tool', inputSchema }));
  return headerAnnotationFault(bytes, { start: 0, end: bytes.length });
}
