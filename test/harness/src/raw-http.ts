import { connect, type Socket } from 'node:net';

import { systemClock } from '@signalbox/runtime';

/** What came back for bytes that were sent as they are. */
export interface RawHttpAnswer {
  /** 0: the connection closed without an answer. */
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  /** The server closed the connection after the answer. */
  readonly closed: boolean;
}

/**
 * Sends bytes to the origin of a URL on a connection of its own and reads one answer. Nothing is added and nothing is
 * corrected, so that malformed requests arrive malformed.
 * @throws when neither an answer nor the end of the connection comes within `withinMs`.
 */
export async function sendBytes(url: string, bytes: string | Buffer, withinMs = 10_000): Promise<RawHttpAnswer> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => undefined);
  using _deadline = systemClock.timer(withinMs, () => socket.destroy(new Error('no answer in time')));
  socket.write(bytes);
  const answer = await readAnswer(socket);
  socket.destroy();
  await closed;
  return answer;
}

function readAnswer(socket: Socket): Promise<RawHttpAnswer> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    let error: Error | undefined;
    socket.on('error', (reason) => void (error = reason));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      const answer = parseAnswer(received, false);
      if (answer) resolve(answer);
    });
    socket.on('close', () => {
      if (error?.message === 'no answer in time') return reject(error);
      resolve(parseAnswer(received, true) ?? { status: 0, headers: new Map(), body: '', closed: true });
    });
  });
}

function parseAnswer(received: Buffer, closed: boolean): RawHttpAnswer | undefined {
  const headEnd = received.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const [start = '', ...lines] = received.toString('latin1', 0, headEnd).split('\r\n');
  const status = Number(start.split(' ')[1]);
  const headers = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  const rest = received.subarray(headEnd + 4);
  const length = headers.get('content-length');
  if (length !== undefined) {
    if (rest.length < Number(length) && !closed) return undefined;
    return {
      status,
      headers,
      body: rest.toString('utf8', 0, Number(length)),
      closed: closed || headers.get('connection') === 'close',
    };
  }
  if (status === 204 || status === 202) return { status, headers, body: '', closed };
  const chunks = unchunk(rest);
  if (headers.get('transfer-encoding') === 'chunked' && chunks !== undefined)
    return { status, headers, body: chunks, closed };
  return closed ? { status, headers, body: rest.toString('utf8'), closed } : undefined;
}

function unchunk(bytes: Buffer): string | undefined {
  const parts: Buffer[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    if (size === 0) return Buffer.concat(parts).toString('utf8');
    if (bytes.length < lineEnd + 2 + size + 2) return undefined;
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
}
