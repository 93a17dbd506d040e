import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainResult } from './plain-result.ts';
import { responseScanLimits, scanBody } from './scan.ts';

const shuffled = <T>(items: readonly T[]) => fc.shuffledSubarray([...items], { minLength: items.length });

describe('a large result', () => {
  it('has the parts that a strict reading finds', () => {
    const members = fc.tuple(fc.jsonValue(), fc.oneof(fc.integer(), fc.string())).chain(([result, id]) =>
      shuffled([
        ['jsonrpc', '2.0'],
        ['id', id],
        ['result', result],
      ] as const),
    );
    fc.assert(
      fc.property(members, fc.constantFrom(undefined, 2), fc.constantFrom('', ' \n'), (entries, indent, around) => {
        const text = JSON.stringify(Object.fromEntries(entries), undefined, indent);
        const bytes = Buffer.from(`${around}${text}${around}`);
        const strict = scanBody(bytes, responseScanLimits);
        fc.pre(strict.kind === 'message');
        const { span, id, idType, result } = plainResult(bytes) ?? {};
        const expected = strict.kind === 'message' ? strict.message : undefined;
        expect({ span, id, idType, result }).toEqual({
          span: expected?.span,
          id: expected?.id,
          idType: expected?.idType,
          result: expected?.result,
        });
      }),
    );
  });

  it.each([
    ['an error', '{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}'],
    ['a request', '{"jsonrpc":"2.0","id":1,"method":"ping"}'],
    ['two results', '{"jsonrpc":"2.0","result":{},"result":{}}'],
    ['a result with more beside it', '{"jsonrpc":"2.0","id":1,"result":{},"method":"ping"}'],
    ['a result with something behind it', '{"jsonrpc":"2.0","id":1,"result":{}} {}'],
    ['a result that is cut short', '{"jsonrpc":"2.0","id":1,"result":{"content":['],
    ['a batch', '[{"jsonrpc":"2.0","id":1,"result":{}}]'],
    ['nothing', ''],
  ])('is not %s', (_, text) => {
    expect(plainResult(Buffer.from(text))).toBeUndefined();
  });

  it('is not what is not UTF-8', () => {
    const bytes = Buffer.from('{"jsonrpc":"2.0","id":1,"result":"?"}');
    bytes[bytes.indexOf('?')] = 0xff;
    expect(plainResult(bytes)).toBeUndefined();
  });
});
