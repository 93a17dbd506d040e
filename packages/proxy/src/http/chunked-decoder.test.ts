import { describe, expect, it } from 'vitest';
import { ChunkedDecoder } from './chunked-decoder.ts';

/** What a body reads as: whole, and byte by byte. */
function decode(text: string, maxOverheadBytes = 100): string {
  const readings = [[text], text.split('')].map((pieces) => {
    const decoder = new ChunkedDecoder(maxOverheadBytes);
    let body = '';
    const onChunkData = (bytes: Buffer, start: number, end: number) => {
      body += bytes.toString('latin1', start, end);
      return true;
    };
    for (const piece of pieces) decoder.decode(Buffer.from(piece, 'latin1'), 0, { onChunkData });
    return decoder.failed ? 'failed' : `${decoder.done ? 'whole' : 'cut'}: ${body}`;
  });
  expect(readings[1]).toBe(readings[0]);
  return readings[0] as string;
}

describe('a chunked body', () => {
  it.each([
    '2\r\nab\r\n0\r\n\r\n',
    '02\r\nab\r\n000\r\n\r\n',
    '2;x\r\nab\r\n0;y=z;w\r\n\r\n',
    '2;x="a b;c"\r\nab\r\n0\r\n\r\n',
    '1\r\na\r\n1\r\nb\r\n0\r\nX-T: 1\r\nY:\r\n\r\n',
  ])('%j is ab', (text) => {
    expect(decode(text)).toBe('whole: ab');
  });

  it.each([
    ...['2 \r\nab\r\n', '2\nab\n', '\r\n', 'g\r\n', '-1\r\n', '0x2\r\n', '000000002\r\n', '2\r\nabc\r\n'],
    ...[
      '2;\r\n',
      '2;=x\r\n',
      '2;x=\r\n',
      '2;x y\r\n',
      '2; x\r\n',
      '2;x="\\""\r\n',
      '2;x="a"b\r\n',
      '2;x=\xe9\r\n',
      '2;x\0',
    ],
    ...['0\r\nT\r\n', '0\r\n T: 1\r\n', '0\r\nT : 1\r\n', '0\r\n: 1\r\n', '0\r\nT: \0', '0\r\nT: 1\n', '0\r\n\r\r'],
    ...[
      '0\r\nContent-Length: 1\r\n',
      '0\r\ntransfer-encoding: x\r\n',
      '0\r\nHost: a\r\n',
      '0\r\nConnection: close\r\n',
    ],
  ])('%j is malformed', (text) => {
    expect(decode(text)).toBe('failed');
  });

  it('has bounded extensions and trailers', () => {
    expect(decode('1;xy\r\na\r\n0\r\nT:1\r\n\r\n', 6)).toBe('whole: a');
    expect(decode('1;xy\r\na\r\n0\r\nT:1\r\n\r\n', 5)).toBe('failed');
  });
});
