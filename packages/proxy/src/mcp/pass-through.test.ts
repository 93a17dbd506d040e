import { describe, expect, it } from 'vitest';
import { RequestPath } from '../testing/request-path.ts';

const text = 'abcdefgh'.repeat(50_000);
const pieceBytes = 70_000;

/** A call whose answer is too large to be held, with its id at the head or at the tail. */
async function callForLargeAnswer(place: 'head' | 'tail') {
  const path = new RequestPath();
  const session = await path.initialize();
  const exchange = await path.request(session, 'tools/call', { name: 'echo' }, 'call-1');
  const upstream = path.upstream.last;
  const { id } = upstream.message;
  const answer = place === 'head' ? { jsonrpc: '2.0', id, result: { text } } : { jsonrpc: '2.0', result: { text }, id };
  const bytes = Buffer.from(JSON.stringify(answer));
  upstream.head(200, { 'content-type': 'application/json' }, bytes.length);
  const pieces = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, i) =>
    bytes.subarray(i * pieceBytes, (i + 1) * pieceBytes),
  );
  return { exchange, upstream, pieces };
}

describe('a large answer on its way through', () => {
  it('gives memory back while the client takes everything', async () => {
    const { exchange, upstream, pieces } = await callForLargeAnswer('head');
    const free = pieces.map((piece) => upstream.ownData(piece));
    upstream.end();
    expect(new Set(free)).toEqual(new Set([true]));
    expect(exchange.json).toEqual({ jsonrpc: '2.0', id: 'call-1', result: { text } });
  });

  it.each(['head', 'tail'] as const)(
    'is what the upstream sent when the client stops reading, with its id at the %s',
    async (place) => {
      const { exchange, upstream, pieces } = await callForLargeAnswer(place);
      upstream.ownData(pieces[0] as Buffer);
      exchange.taking = false;
      for (const piece of pieces.slice(1)) upstream.ownData(piece);
      expect(upstream.paused).toBe(true);
      exchange.takeAll();
      expect(upstream.paused).toBe(false);
      upstream.end();
      expect(exchange.json).toEqual({ jsonrpc: '2.0', id: 'call-1', result: { text } });
    },
  );

  it.each(['head', 'tail'] as const)(
    'is what the upstream sent when its pieces were only lent and the client stops reading, with its id at the %s',
    async (place) => {
      const { exchange, upstream, pieces } = await callForLargeAnswer(place);
      exchange.taking = false;
      for (const piece of pieces) upstream.data(piece);
      exchange.takeAll();
      upstream.end();
      expect(exchange.json).toEqual({ jsonrpc: '2.0', id: 'call-1', result: { text } });
    },
  );

  it('begins with its first piece', async () => {
    const { exchange, upstream, pieces } = await callForLargeAnswer('head');
    upstream.data((pieces[0] as Buffer).subarray(0, 1_000));
    expect([exchange.answered, exchange.text.length > 900]).toEqual([true, true]);
  });

  it('keeps the memory of what the client has not taken', async () => {
    const { exchange, upstream, pieces } = await callForLargeAnswer('head');
    upstream.ownData(pieces[0] as Buffer);
    exchange.taking = false;
    const whileStalled = upstream.ownData(pieces[1] as Buffer);
    exchange.takeAll();
    const whileTaking = upstream.ownData(pieces[2] as Buffer);
    expect([whileStalled, whileTaking]).toEqual([false, true]);
  });
});
