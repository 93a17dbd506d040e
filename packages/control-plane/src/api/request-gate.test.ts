import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';

import { describe, expect, it } from 'vitest';

import { refusedAtGate } from './request-gate.ts';

function request(
  headers: readonly (readonly [string, string])[],
  more: Partial<IncomingMessage> = {},
): IncomingMessage {
  const message = new IncomingMessage(new Socket());
  const all = [['Host', 'localhost:7070'] as const, ...headers];
  message.rawHeaders = all.flat();
  message.headers = Object.fromEntries(all.map(([name, value]) => [name.toLowerCase(), value]));
  return Object.assign(message, { httpVersion: '1.1', url: '/x', ...more });
}

const status = (...arguments_: Parameters<typeof request>) => refusedAtGate(request(...arguments_))?.status;

describe('the gate of the API', () => {
  it('lets an ordinary request through, also one of its own pages', () => {
    expect(status([['Authorization', 'Bearer x']])).toBeUndefined();
    expect(status([['Origin', 'http://localhost:7070']])).toBeUndefined();
  });

  it.each(['Authorization', 'Host', 'Content-Type', 'content-length', 'If-Match', 'Origin'])(
    'refuses a second %s',
    (name) => {
      expect(
        status([
          [name, 'a'],
          [name.toUpperCase(), 'a'],
        ]),
      ).toBe(400);
    },
  );

  it.each(['http://evil.example', 'null', 'http://localhost:7071', 'https://localhost:7070.evil.example'])(
    'refuses the origin %s',
    (origin) => {
      expect(status([['Origin', origin]])).toBe(403);
    },
  );

  it.each(['http://evil.example/x', '//evil.example/x', '/a#b', '/a\\b', '/ä', ''])('refuses the target %j', (url) => {
    expect(status([], { url })).toBe(400);
  });

  it('refuses other versions of HTTP and expectations', () => {
    expect(status([], { httpVersion: '1.0' })).toBe(400);
    expect(status([['Expect', '100-continue']])).toBe(417);
  });

  it('lets HTTP/2 through, and gRPC only over it', () => {
    const grpc = [['Content-Type', 'application/grpc+proto']] as const;
    expect(status(grpc, { httpVersion: '2.0' })).toBeUndefined();
    expect(status(grpc)).toBe(415);
    expect(status([['Content-Type', 'application/grpc-web+json']])).toBeUndefined();
  });
});
