import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { arrayElements, memberValue, objectMembers, stringValue } from './members.ts';
import type { Span } from './message.ts';

const whole = (bytes: Buffer): Span => ({
  start: bytes.length - bytes.toString().trimStart().length,
  end: bytes.length,
});

describe('members of a scanned value', () => {
  const bytes = Buffer.from(
    '{ "tools" : [ {"name":"a"} , {"name":"b\\"]}"},3,"x",[]], "next\\u0043ursor":null,"n":-1e3 }',
  );

  it('are found by name', () => {
    const tools = memberValue(bytes, whole(bytes), 'tools') as Span;
    const elements = arrayElements(bytes, tools);
    expect(elements.map((span) => bytes.toString('utf8', span.start, span.end))).toEqual([
      '{"name":"a"}',
      '{"name":"b\\"]}"}',
      '3',
      '"x"',
      '[]',
    ]);
    const name = memberValue(bytes, elements[1] as Span, 'name') as Span;
    expect(stringValue(bytes, name)).toBe('b"]}');
    expect(memberValue(bytes, whole(bytes), 'name')).toBeUndefined();
  });

  it('come in order with decoded keys', () => {
    expect(objectMembers(bytes, whole(bytes)).map((member) => member.key)).toEqual(['tools', 'nextCursor', 'n']);
  });

  it('do not exist in other values', () => {
    const array = Buffer.from('[1]');
    expect(objectMembers(array, whole(array))).toEqual([]);
    expect(arrayElements(bytes, whole(bytes))).toEqual([]);
    expect(stringValue(array, whole(array))).toBeUndefined();
    const empty = Buffer.from('{"a":{},"b":[ ]}');
    expect(objectMembers(empty, memberValue(empty, whole(empty), 'a') as Span)).toEqual([]);
    expect(arrayElements(empty, memberValue(empty, whole(empty), 'b') as Span)).toEqual([]);
  });

  it('are the ones that JSON.parse finds', () => {
    const read = (json: Buffer, span: Span): unknown => {
      const text = json.toString('utf8', span.start, span.end);
      if (text.startsWith('{')) {
        return Object.fromEntries(objectMembers(json, span).map(({ key, value }) => [key, read(json, value)]));
      }
      if (text.startsWith('[')) return arrayElements(json, span).map((element) => read(json, element));
      return stringValue(json, span) ?? JSON.parse(text);
    };
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom(undefined, 2), (value, indent) => {
        const json = Buffer.from(JSON.stringify(value, undefined, indent));
        expect(read(json, { start: 0, end: json.length })).toEqual(JSON.parse(json.toString()));
      }),
    );
  });

  it('end on any bytes', () => {
    const token = fc.constantFrom('{', '}', '[', ']', '"', '\\', ',', ':', ' ', '1', 'a', '"a":');
    fc.assert(
      fc.property(fc.array(token, { maxLength: 30 }), (tokens) => {
        const json = Buffer.from(tokens.join(''));
        for (const { value } of objectMembers(json, whole(json))) {
          expect(value.start).toBeLessThan(value.end);
          stringValue(json, value);
          arrayElements(json, value);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
