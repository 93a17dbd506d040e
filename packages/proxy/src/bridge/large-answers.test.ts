import { describe, expect, it } from 'vitest';
import { defaultRequestLimits } from '../mcp/request-limits.ts';
import type { UpstreamHandler, UpstreamHead } from '../upstream/upstream.ts';
import { AnswerMemory, answerWith } from './answer-memory.ts';
import { headOf, jsonType } from './local-answer.ts';
import { ServerAnswer } from './server-answer.ts';

/** Takes an answer; what it was not given for good it copies, as whoever borrows has to. */
class Taker implements UpstreamHandler {
  readonly borrows = true;
  head: UpstreamHead | undefined;
  readonly held: Buffer[] = [];
  ended = false;
  /** Whether pieces are on their way at once. */
  takes = true;

  onHead(head: UpstreamHead): void {
    this.head = head;
  }

  onData(chunk: Buffer, lent: boolean): boolean {
    this.held.push(lent || this.takes ? Buffer.from(chunk) : chunk);
    return this.takes;
  }

  onEnd(): void {
    this.ended = true;
  }

  onError(): void {}

  get text(): string {
    return Buffer.concat(this.held).toString();
  }
}

const textOf = (mark: string, bytes: number) => mark.repeat(bytes);

/** What a server said in pieces, whose memory is written over behind each, is worded anew and read by `taker`. */
function pass(memory: AnswerMemory, taker: Taker, mark: string, { bytes = 300_000, known = true } = {}): string {
  const answer = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 7, result: { text: textOf(mark, bytes) } }));
  const said: string[] = [];
  const listener = {
    onMessage: () => undefined,
    onAnswer: ({ bytes: message }: { bytes: Buffer }) => {
      said.push('answer');
      answerWith(taker, [message.subarray(0, 10), message.subarray(10)], memory);
      return true;
    },
    onOther: () => void said.push('other'),
    onBroken: ({ code }: { code: string }) => void said.push(code),
  };
  const reading = new ServerAnswer(listener, defaultRequestLimits, memory);
  reading.onHead(headOf(200, jsonType, known ? answer.length : undefined));
  for (let at = 0; at < answer.length; at += 65_536) {
    const piece = Buffer.from(answer.subarray(at, at + 65_536));
    reading.onData(piece, true);
    piece.fill(0);
  }
  reading.onEnd();
  return said.join();
}

describe('large answers across eras', () => {
  it.each([{ bytes: 500 }, { bytes: 300_000 }, { bytes: 300_000, known: false }, { bytes: 5_000_000 }])(
    'arrive as they were said, one after the other in the same memory: %o',
    (size) => {
      const memory = new AnswerMemory();
      for (const mark of ['a', 'b', 'c']) {
        const taker = new Taker();
        expect(pass(memory, taker, mark, size)).toBe('answer');
        expect(taker.head?.contentLength).toBe(taker.text.length);
        expect(JSON.parse(taker.text)).toEqual({ jsonrpc: '2.0', id: 7, result: { text: textOf(mark, size.bytes) } });
      }
    },
  );

  it('are not written over while a client has not taken them', () => {
    const memory = new AnswerMemory();
    const slow = new Taker();
    slow.takes = false;
    pass(memory, slow, 'a');
    pass(memory, new Taker(), 'b');
    expect((JSON.parse(slow.text) as { result: { text: string } }).result.text === textOf('a', 300_000)).toBe(true);
  });

  it('are refused beyond the bound of answers that are held', () => {
    const bytes = defaultRequestLimits.heldAnswerBytes;
    expect(pass(new AnswerMemory(), new Taker(), 'a', { bytes })).toBe('protocol');
  });
});
