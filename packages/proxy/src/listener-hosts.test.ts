import { describe, expect, it } from 'vitest';
import type { RequestHead } from './http/exchange.ts';
import { judgeListenerHost, type ListenerHosts, mergeListenerHosts } from './listener-hosts.ts';

const loopback: ListenerHosts = { hostnames: new Set(['localhost', '127.0.0.1', '[::1]']), allowedOrigins: null };
const published: ListenerHosts = {
  hostnames: new Set(['mcp.example']),
  allowedOrigins: new Set(['https://app.example', 'https://app.example:8443']),
};

function head(host: string, origin?: string): RequestHead {
  return {
    method: 'POST',
    path: '/acme/assistant/mcp',
    query: '',
    host,
    port: 8080,
    contentLength: 0,
    remoteAddress: '127.0.0.1',
    secure: false,
    withPrefix: () => [],
    header: (name) => (name === 'origin' ? origin : undefined),
  };
}

describe('the Host and Origin of a request', () => {
  it.each(['localhost', '127.0.0.1', '[::1]'])('may be the loopback name %s where nothing is listed', (host) => {
    expect(judgeListenerHost(loopback, head(host))).toBeUndefined();
  });

  it.each(['evil.example', 'localhost.', 'localhost.evil.example', '', '127.0.0.2', '::1'])(
    'may not be the host "%s" where it is not listed',
    (host) => {
      expect(judgeListenerHost(loopback, head(host))?.status).toBe(403);
    },
  );

  it.each([
    'http://localhost',
    'http://localhost:6274',
    'https://127.0.0.1:1',
    'http://[::1]:3000',
    'HTTP://LOCALHOST:80',
  ])('may be the loopback origin %s where nothing is listed', (origin) => {
    expect(judgeListenerHost(loopback, head('localhost', origin))).toBeUndefined();
  });

  it.each([
    'null',
    '',
    'https://evil.example',
    'http://localhost.evil.example',
    'http://localhost:1@evil.example',
    'ftp://localhost',
  ])('may not be the origin "%s" where nothing is listed', (origin) => {
    expect(judgeListenerHost(loopback, head('localhost', origin))?.status).toBe(403);
  });

  it('may be exactly what is listed', () => {
    expect(judgeListenerHost(published, head('mcp.example', 'https://app.example'))).toBeUndefined();
    expect(judgeListenerHost(published, head('mcp.example', 'https://app.example:8443'))).toBeUndefined();
    expect(judgeListenerHost(published, head('mcp.example', 'https://app.example:9'))?.status).toBe(403);
    expect(judgeListenerHost(published, head('mcp.example', 'http://localhost'))?.status).toBe(403);
    expect(judgeListenerHost(published, head('localhost'))?.status).toBe(403);
  });

  it('are judged by the lists of all listeners where one port stands for them', () => {
    const merged = mergeListenerHosts([loopback, published]);
    expect(judgeListenerHost(merged, head('mcp.example'))).toBeUndefined();
    expect(judgeListenerHost(merged, head('localhost', 'https://app.example'))).toBeUndefined();
    expect(judgeListenerHost(merged, head('localhost', 'https://evil.example'))?.status).toBe(403);
    expect(judgeListenerHost(mergeListenerHosts([loopback]), head('localhost', 'http://localhost:1'))).toBeUndefined();
  });
});
