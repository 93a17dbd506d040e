import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { responseScanLimits } from '../json/scan.ts';
import { findAnswerId, idAtHead, idAtTail } from './answer-id.ts';
import { spliceText } from './splice.ts';

const token = '"sb.abcdefgh.1.MQ"';

describe('the id of an answer', () => {
  it('is found wherever it stands, and nothing else is taken for it', () => {
    const value = fc.oneof(
      fc.constant(token),
      fc.constant(`{"id":${token}}`),
      fc.constant(`[${token}]`),
      fc.constant('"\\"id\\":1"'),
    );
    const blank = fc.constantFrom('', ' ', '\n', '\t\r\n');
    const others = fc.array(fc.tuple(fc.constantFrom('result', '_meta', 'x'), value), { maxLength: 3 });
    fc.assert(
      fc.property(others, fc.nat(3), blank, blank, (rest, position, before, after) => {
        const named = new Map([['jsonrpc', '"2.0"'], ['result', '{}'], ...rest]);
        const members = [...named].map(([key, text]) => `"${key}":${text}`);
        members.splice(position, 0, `"id":${token}`);
        const body = Buffer.from(`${before}{${members.join(`${after},${before}`)}${after}}${after}`);
        const at = findAnswerId(body, token, responseScanLimits);
        const answer = at && (JSON.parse(spliceText(body, at, '"mine"').toString()) as { id: unknown });
        expect(answer?.id).toBe('mine');
        expect({ ...answer, id: undefined }).toEqual({ ...(JSON.parse(body.toString()) as object), id: undefined });
      }),
    );
  });

  it.each([
    ['inside the result', `{"jsonrpc":"2.0","id":1,"result":{"id":${token}}}`],
    ['inside a text', `{"jsonrpc":"2.0","id":1,"result":"\\"id\\":${token.replaceAll('"', '\\"')}"}`],
    ['as a key that ends in id', `{"jsonrpc":"2.0","id":1,"result":1,"x\\"id":${token}}`],
    ['in a request', `{"method":"x", "jsonrpc":"2.0","id" :${token}}`],
    ['in a broken body', `{"x":[,"jsonrpc":"2.0", "id":${token},"result":1}`],
    ['nowhere', '{"jsonrpc":"2.0","id":1,"result":1}'],
    ['in nothing', ''],
  ])('is not found %s', (_where, body) => {
    expect(findAnswerId(Buffer.from(body), token, responseScanLimits)).toBeUndefined();
  });

  it('is certain at the head and the tail without reading the rest', () => {
    const head = Buffer.from(`{"jsonrpc":"2.0","id":${token},"result":"cut off here`);
    expect(idAtHead(head, token)).toEqual({ start: 22, end: 22 + token.length });
    const tail = Buffer.from(`... "cut off before"},"jsonrpc":"2.0","id":${token}}\n`);
    const at = idAtTail(tail, token);
    expect(tail.toString('latin1', at?.start, at?.end)).toBe(token);
  });
});
