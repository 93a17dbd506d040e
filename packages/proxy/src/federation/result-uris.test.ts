import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ScannedMessage } from '../json/message.ts';
import { responseScanLimits, scanBody } from '../json/scan.ts';
import { splice } from '../mcp/splice.ts';
import { answerUriEdits, answerUriRewriter } from './result-uris.ts';

const wrap = (uri: string) => `one+${uri}`;

function wrappedWhole(bytes: Buffer): string {
  const scanned = scanBody(bytes, responseScanLimits) as { readonly message: ScannedMessage };
  const edits = answerUriEdits(bytes, scanned.message, wrap);
  return splice(
    bytes,
    edits.toSorted((a, b) => a.start - b.start),
  ).toString();
}

/** The same in pieces of these sizes, the memory of each being written over once it was read. */
function wrappedInPieces(bytes: Buffer, sizes: readonly number[]): string {
  const rewriter = answerUriRewriter(wrap);
  const out: string[] = [];
  const take = (parts: readonly Buffer[]) => out.push(Buffer.concat(parts).toString('latin1'));
  let at = 0;
  for (let i = 0; at < bytes.length; i += 1) {
    const piece = Buffer.from(bytes.subarray(at, at + (sizes[i % sizes.length] ?? 1)));
    at += piece.length;
    take(rewriter.push(piece));
    piece.fill(0x22);
  }
  take(rewriter.end());
  return Buffer.from(out.join(''), 'latin1').toString();
}

const keys = ['content', 'contents', 'messages', 'resource', '_meta', 'ui', 'uri', 'resourceUri', 'ui/resourceUri'];
const key = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...keys) }, fc.string({ maxLength: 5, unit: 'binary' }));
const text = fc.oneof(
  fc.constantFrom('file:///a', 'ui://x"y\\', 'uri"', '\\"uri":"', '{[', '}]'),
  fc.string({ maxLength: 90, unit: 'binary-ascii' }),
);
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'medium', withCrossShrink: true },
    text,
    fc.constantFrom(1, -1.5e300, true, null),
    fc.dictionary(key, tie('value'), { maxKeys: 5, noNullPrototype: true }),
    fc.array(tie('value'), { maxLength: 4 }),
  ),
}));
const answer = fc.oneof(
  value.map((result) => ({ jsonrpc: '2.0', id: 7, result })),
  value.map((data) => ({ error: { code: 1, data }, id: 'a', jsonrpc: '2.0' })),
);
const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 });

describe('the URIs of an answer in pieces', () => {
  it('become what they become when it is seen whole, wherever it is cut', () => {
    fc.assert(
      fc.property(answer, sizes, fc.constantFrom(undefined, 2), (json, cuts, indent) => {
        fc.pre(!JSON.stringify(json).includes('__proto__'));
        const bytes = Buffer.from(JSON.stringify(json, undefined, indent));
        expect(wrappedInPieces(bytes, cuts)).toBe(wrappedWhole(bytes));
      }),
      { numRuns: 2_000 },
    );
  });

  it('are found behind long texts, and behind JSON in texts', () => {
    const long = JSON.stringify({ uri: 'x\\', list: ['a"b'.repeat(2_000), 'y'.repeat(9_000)] });
    const content = [
      { type: 'text', text: long },
      { type: 'text', text: `${'z'.repeat(500)}\\` },
      { type: 'resource_link', uri: 'file:///a' },
    ];
    const bytes = Buffer.from(
      JSON.stringify({ jsonrpc: '2.0', id: 1, result: { content, structuredContent: { uri: 'b' } } }),
    );
    const expected = bytes.toString().replace('"file:///a"', '"one+file:///a"');
    expect(wrappedWhole(bytes) === expected).toBe(true);
    for (const size of [1, 63, 4_096, 4_097, bytes.length])
      expect(wrappedInPieces(bytes, [size]) === expected).toBe(true);
  });

  it('pass as they came when they are longer than any URI is', () => {
    const bytes = Buffer.from(`{"result":{"contents":[{"uri":"${'u'.repeat(70_000)}"},{"uri":"b"}]}}`);
    expect(wrappedInPieces(bytes, [1_000]).replace(/u{70000}/, 'long')).toBe(
      '{"result":{"contents":[{"uri":"long"},{"uri":"one+b"}]}}',
    );
  });

  it('do not keep what is no JSON from passing as it came', () => {
    const token = fc.constantFrom('{', '}', '[', ']', '"', '\\', ',', ':', ' ', '1', '"a":', '"result":', '"content":');
    fc.assert(
      fc.property(fc.array(token, { maxLength: 40 }), sizes, (tokens, cuts) => {
        const bytes = Buffer.from(tokens.join(''));
        expect(wrappedInPieces(bytes, cuts)).toBe(bytes.toString());
      }),
      { numRuns: 1_000 },
    );
  });
});
