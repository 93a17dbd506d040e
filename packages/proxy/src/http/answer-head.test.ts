import { ManualClock } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { AnswerHeads } from './answer-head.ts';

describe('the head of an answer', () => {
  const at = Date.UTC(2026, 0, 2, 3, 4, 5, 999);

  it('has status, headers, date, and what becomes of the connection', () => {
    const heads = new AnswerHeads(new ManualClock(at), 65_500);
    expect(heads.head(200, ['X-A', '1'], false)).toBe(
      'HTTP/1.1 200 OK\r\nX-A: 1\r\nDate: Fri, 02 Jan 2026 03:04:05 GMT\r\nConnection: keep-alive\r\nKeep-Alive: timeout=65\r\n',
    );
    expect(heads.head(599, [], true)).toBe(
      'HTTP/1.1 599 Unknown\r\nDate: Fri, 02 Jan 2026 03:04:05 GMT\r\nConnection: close\r\n',
    );
  });

  it('has the date of its second', async () => {
    const clock = new ManualClock(at);
    const heads = new AnswerHeads(clock, 1_000);
    heads.head(200, [], true);
    await clock.advance(1);
    expect(heads.head(200, [], true)).toContain('03:04:06 GMT');
  });

  it.each([
    ['X-A', 'a\r\nX-B: b'],
    ['X-A', 'a\nb'],
    ['X-A', 'a\0'],
    ['X-A', '\u{2028}'],
    ['X-A: b\r\nX-C', 'c'],
    ['X A', 'a'],
    ['', 'a'],
  ])('lets nothing break out of the header %j: %j', (name, value) => {
    expect(() => new AnswerHeads(new ManualClock(), 0).head(200, [name, value], false)).toThrow(TypeError);
  });

  it.each([100, 101, 199, 600, 20, 200.5, Number.NaN])('has no status %d', (status) => {
    expect(() => new AnswerHeads(new ManualClock(), 0).head(status, [], false)).toThrow(RangeError);
  });
});
