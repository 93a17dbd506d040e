import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeEvent, type SseEvent, SseParser, sseHeartbeat } from './sse.ts';

interface Read {
  readonly events: readonly SseEvent[];
  readonly tooLarge: boolean;
}

function read(pieces: readonly (string | Buffer)[], maxEventBytes = 1_000_000): Read {
  const events: SseEvent[] = [];
  let tooLarge = false;
  const parser = new SseParser(maxEventBytes, {
    onEvent: (event) => void events.push(event),
    onTooLarge: () => void (tooLarge = true),
  });
  for (const piece of pieces) parser.push(Buffer.from(piece as string));
  parser.end();
  return { events, tooLarge };
}

function fields({ events }: Read) {
  return events.map(({ data, event, id, retryMs }) => ({ data, event, id, retryMs }));
}

/** The bytes cut at every position that `cuts` names. */
function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((at) => at % (bytes.length + 1)))].toSorted((a, b) => a - b);
  return [...places, bytes.length].map((at, i) => bytes.subarray(i === 0 ? 0 : places[i - 1], at));
}

describe('an event', () => {
  it('that comes whole is reported with its bytes', () => {
    const { events } = read(['id: 7\nevent: message\nretry: 500\ndata: {"a":1}\n\n']);
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({ data: '{"a":1}', event: 'message', id: '7', retryMs: 500 });
    expect(events[0]?.raw.toString()).toBe('id: 7\nevent: message\nretry: 500\ndata: {"a":1}\n\n');
  });

  it('has its data as a view into its bytes when that is one line', () => {
    const [event] = read(['id: 1\ndata: {}\n\n']).events;
    const data = event?.dataBytes as Buffer;
    expect(data.byteOffset - (event?.raw.byteOffset as number)).toBe(12);
    expect(data.buffer).toBe(event?.raw.buffer);
  });

  it.each([
    ['data', ''],
    ['data:', ''],
    ['data: ', ''],
    ['data:x', 'x'],
    ['data:  x ', ' x '],
    ['data: a: b', 'a: b'],
    ['data: one\ndata: two\ndata', 'one\ntwo\n'],
    ['data: \u2028é😀', '\u2028é😀'],
    ['data: event: forged\u2028id: 9', 'event: forged\u2028id: 9'],
    ['datax: x', undefined],
    ['dat', undefined],
    [' data: x', undefined],
    [': comment', undefined],
    ['id: 1', undefined],
  ])('with the lines %j has the data %j', (lines, data) => {
    expect(fields(read([`${lines}\n\n`])).map((event) => event.data)).toEqual([data]);
  });

  it('ignores an id with NUL, a retry that is no number, and takes the last of each field', () => {
    expect(fields(read(['id: 1\nid: 2\0\nretry: 1s\nevent: a\nevent: b\n\n']))).toEqual([
      { data: undefined, event: 'b', id: '1', retryMs: undefined },
    ]);
    expect(fields(read(['id\nretry: 12\n\n']))[0]).toMatchObject({ id: '', retryMs: 12 });
  });

  it('without its blank line never happened', () => {
    expect(read(['data: x\n']).events).toEqual([]);
    expect(read(['data: x']).events).toEqual([]);
  });

  it.each(['\n', '\r', '\r\n'])('may end its lines in %j', (end) => {
    const { events } = read([`data: a${end}data: b${end}${end}data: c${end}${end}`]);
    expect(events.map((event) => event.data)).toEqual(['a\nb', 'c']);
    expect(events.map((event) => event.raw.toString())).toEqual([
      `data: a${end}data: b${end}${end}`,
      `data: c${end}${end}`,
    ]);
  });

  it('is reported at the CR of its blank line, and the LF that comes later says nothing', () => {
    const seen: string[] = [];
    const parser = new SseParser(100, { onEvent: (event) => void seen.push(event.data ?? ''), onTooLarge: () => {} });
    parser.push(Buffer.from('data: a\r\n\r'));
    expect(seen).toEqual(['a']);
    parser.push(Buffer.from('\n'));
    parser.push(Buffer.from('data: b\r'));
    parser.push(Buffer.from('\ndata: c\r\n\r\n'));
    expect(seen).toEqual(['a', 'b\nc']);
  });

  it('may follow a byte order mark, in pieces too', () => {
    expect(fields(read(['\ufeffdata: x\n\n']))[0]?.data).toBe('x');
    expect(fields(read([...Buffer.from('\ufeffdata: x\n\n')].map((byte) => Buffer.from([byte]))))[0]?.data).toBe('x');
    expect(fields(read(['\ufeff\ufeffdata: x\n\n']))[0]?.data).toBeUndefined();
  });

  it('is not reported after the parser was ended from within', () => {
    const seen: string[] = [];
    const parser: SseParser = new SseParser(100, {
      onEvent: (event) => {
        seen.push(event.data ?? '');
        parser.end();
      },
      onTooLarge: () => {},
    });
    parser.push(Buffer.from('data: a\n\ndata: b\n\n'));
    expect(seen).toEqual(['a']);
  });
});

describe('the cap of an event', () => {
  const event = `data: ${'x'.repeat(50)}\n\n`;

  it('lets an event of just that size pass, whole or in pieces', () => {
    const bytes = Buffer.from(event + event);
    expect(read([bytes], event.length).events).toHaveLength(2);
    expect(read(cut(bytes, [3, 30, 57, 59]), event.length)).toMatchObject({ tooLarge: false, events: { length: 2 } });
  });

  it('ends the parser at one byte more, whole or in pieces', () => {
    const bytes = Buffer.from(`data: a\n\n${event}data: b\n\n`);
    const whole = read([bytes], event.length - 1);
    const pieces = read(
      [...bytes].map((byte) => Buffer.from([byte])),
      event.length - 1,
    );
    expect(fields(whole).map(({ data }) => data)).toEqual(['a']);
    expect(fields(pieces)).toEqual(fields(whole));
    expect([whole.tooLarge, pieces.tooLarge]).toEqual([true, true]);
  });

  it('holds for a line that never ends', () => {
    expect(
      read(
        Array.from({ length: 100 }, () => 'x'.repeat(100)),
        5_000,
      ),
    ).toMatchObject({ tooLarge: true, events: [] });
  });
});

describe('any stream', () => {
  const line = fc.oneof(
    { weight: 3, arbitrary: fc.string({ unit: 'grapheme', maxLength: 8 }).map((text) => `data: ${text}`) },
    fc.constantFrom('id: 5', 'event: x', 'retry: 3', ': c', 'data', 'data:', 'id', 'other: 1', ':'),
  );
  const lineEnd = fc.constantFrom('\n', '\r', '\r\n');
  const stream = fc
    .tuple(fc.boolean(), fc.array(fc.tuple(fc.oneof(line, fc.constant('')), lineEnd), { maxLength: 20 }))
    .map(([mark, lines]) => Buffer.from((mark ? '\ufeff' : '') + lines.flat().join('')));

  it('has the same events wherever it is cut', () => {
    fc.assert(
      fc.property(stream, fc.array(fc.nat(), { maxLength: 12 }), (bytes, cuts) => {
        expect(fields(read(cut(bytes, cuts)))).toEqual(fields(read([bytes])));
      }),
      { numRuns: 1_000 },
    );
  });

  it('has the same events cut at every byte', () => {
    fc.assert(
      fc.property(stream, (bytes) => {
        expect(fields(read([...bytes].map((byte) => Buffer.from([byte]))))).toEqual(fields(read([bytes])));
      }),
    );
  });

  it('has the events of a reader that goes line by line', () => {
    fc.assert(
      fc.property(stream, (bytes) => {
        expect(fields(read([bytes]))).toEqual(readLineByLine(bytes.toString()));
      }),
      { numRuns: 1_000 },
    );
  });

  it('means the same when its events are forwarded byte for byte', () => {
    fc.assert(
      fc.property(stream, fc.array(fc.nat(), { maxLength: 12 }), (bytes, cuts) => {
        const first = read(cut(bytes, cuts));
        const forwarded = Buffer.concat(first.events.map((event) => event.raw));
        expect(fields(read([forwarded]))).toEqual(fields(first));
      }),
      { numRuns: 500 },
    );
  });

  it('of random bytes is read without harm', () => {
    const byte = fc.oneof(fc.constantFrom(0x0a, 0x0d, 0x3a, 0x20, 0x64), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(
        fc.array(byte, { maxLength: 200 }),
        fc.array(fc.nat()),
        fc.integer({ min: 1, max: 60 }),
        (bytes, cuts, cap) => {
          const { events } = read(cut(Buffer.from(bytes), cuts), cap);
          expect(events.every((event) => event.raw.length <= cap)).toBe(true);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('of many small events costs one pass', () => {
    expect(read([Buffer.from('data: 1\n\n'.repeat(50_000))]).events).toHaveLength(50_000);
    expect(read([Buffer.from('data: 1\r\r'.repeat(50_000))]).events).toHaveLength(50_000);
  });
});

describe('encodeEvent', () => {
  it('writes what the parser reads', () => {
    const text = fc.string({ unit: 'grapheme' });
    fc.assert(
      fc.property(text, fc.nat(), (data, retryMs) => {
        const [event] = read([encodeEvent({ id: '1-2', retryMs, data })]).events;
        expect(event).toMatchObject({ id: '1-2', retryMs, data: data.replaceAll(/\r\n?/g, '\n'), event: '' });
      }),
    );
  });

  it('writes only what it was given', () => {
    expect(encodeEvent({ data: 'a\nb' })).toBe('data: a\ndata: b\n\n');
    expect(encodeEvent({ id: '1', data: '' })).toBe('id: 1\ndata: \n\n');
    expect(encodeEvent({ retryMs: 100 })).toBe('retry: 100\n\n');
    expect(read([sseHeartbeat]).events[0]?.data).toBeUndefined();
  });

  it('refuses an id that would forge a field', () => {
    expect(() => encodeEvent({ id: '1\ndata: forged' })).toThrow(TypeError);
  });
});

/** The standard, word by word, for text that is there at once. */
function readLineByLine(text: string) {
  const events = [];
  let event = fresh();
  const lines = text.replace(/^\ufeff/, '').split(/\r\n|\n|\r/);
  lines.pop();
  for (const each of lines) {
    if (each === '') {
      if (event.lines > 0)
        events.push({ data: event.data?.join('\n'), event: event.event, id: event.id, retryMs: event.retryMs });
      event = fresh();
      continue;
    }
    event.lines += 1;
    const [, name = '', value = ''] = /^([^:]*)(?::? ?)([\s\S]*)$/.exec(each) ?? [];
    if (name === 'data') (event.data ??= []).push(value);
    if (name === 'event') event.event = value;
    if (name === 'id') event.id = value;
    if (name === 'retry') event.retryMs = Number(value);
  }
  return events;
}

function fresh() {
  return {
    lines: 0,
    data: undefined as string[] | undefined,
    event: '',
    id: undefined as string | undefined,
    retryMs: undefined as number | undefined,
  };
}
