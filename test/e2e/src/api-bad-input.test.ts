import { gzipSync } from 'node:zlib';

import { sendBytes } from '@signalbox/test-harness';
import { Role } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

import { type ApiFixture, doc, refusalOf, startApi } from './api-fixture.ts';

let api: ApiFixture;

beforeAll(async () => {
  api = await startApi(inject('pgUrl'), { SIGNALBOX_API_BODY: '65536' });
  await api.tenants('acme');
});
afterAll(() => api[Symbol.asyncDispose]());

const method = '/signalbox.admin.v1.ConfigService/Apply';

async function post(body: string | Blob, headers: Record<string, string> = {}) {
  const response = await fetch(api.url + method, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${api.operatorToken}`, ...headers },
    body,
  });
  const text = await response.text();
  return { status: response.status, text };
}

describe('a body', () => {
  const bodies: readonly (readonly [string, string])[] = [
    ['no JSON', '{"scope":'],
    ['an array', '[]'],
    ['a number', '1'],
    ['an unknown field', '{"scope":"acme","bogus":1}'],
    ['a wrong type', '{"scope":1}'],
    ['a field twice', '{"scope":"acme","scope":"acme","dryRun":"yes"}'],
    ['10,000 levels', `{"scope":"acme","resources":[{"spec":{"a":${'['.repeat(10_000)}${']'.repeat(10_000)}}}]}`],
    ['10,000 open brackets', '['.repeat(10_000)],
    ['a name that is no text', '{"scope":"\\ud800"}'],
  ];
  it.each(bodies)('with %s is refused, and the process goes on', async (_what, body) => {
    const { status } = await post(body);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
    expect((await fetch(`${api.url}/readyz`)).status).toBe(200);
  });

  it('larger than the limit is refused, however it is announced', async () => {
    const large = JSON.stringify({ scope: 'acme', message: 'x'.repeat(100_000) });
    expect((await post(large)).status).toBe(429);
    const bomb = gzipSync(JSON.stringify({ scope: 'acme', message: 'x'.repeat(10_000_000) }));
    expect(bomb.length).toBeLessThan(65_536);
    expect((await post(new Blob([bomb]), { 'content-encoding': 'gzip' })).status).toBe(429);
  });

  it('of another content type is refused', async () => {
    expect((await post('scope: acme', { 'content-type': 'text/yaml' })).status).toBe(415);
  });
});

describe('a request', () => {
  const raw = (lines: readonly string[], body = '{}') => {
    const { host } = new URL(api.url);
    const text = [
      `POST ${method} HTTP/1.1`,
      `Host: ${host}`,
      `Authorization: Bearer ${api.operatorToken}`,
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
      ...lines,
      '',
      body,
    ].join('\r\n');
    return sendBytes(api.url, text);
  };

  it('with two credentials is refused', async () => {
    expect((await raw([`Authorization: Bearer ${api.operatorToken}`])).status).toBe(400);
  });

  it('from a page of another origin is refused', async () => {
    expect((await raw(['Origin: http://evil.example'])).status).toBe(403);
    expect((await raw(['Origin: null'])).status).toBe(403);
  });

  it('with headers beyond the limit is refused', async () => {
    expect((await raw([`X-Large: ${'x'.repeat(20_000)}`])).status).toBe(431);
  });

  it('is answered before its body is read when its token is wrong', async () => {
    const { host } = new URL(api.url);
    const head = `POST ${method} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n`;
    expect((await sendBytes(api.url, head)).status).toBe(401);
  });

  it('for a method that does not exist is refused', async () => {
    const response = await fetch(`${api.url}/signalbox.admin.v1.ConfigService/Nothing`, { method: 'POST' });
    expect(response.status).toBe(501);
  });
});

describe('what the API says', () => {
  it('carries no stored secret, no stack and no query', async () => {
    const { text } = await post('{"scope":"acme","requestId":"x"}');
    expect(text).not.toMatch(/select|insert|\.ts:/);
  });

  it('does not let odd names through', async () => {
    for (const name of ['../x', 'A', 'a/b', '', 'a'.repeat(200), "a'; drop table signalbox.tenant --"]) {
      const refused = await refusalOf(
        api.operator.config.apply({
          scope: 'acme',
          resources: [doc('Backend', 'acme', name, { mcp: { url: 'http://127.0.0.1:1/' } })],
        }),
      );
      expect(refused.code).toBe('InvalidArgument');
    }
    for (const scope of ['../x', "a'; drop table signalbox.tenant --", '\0']) {
      const { code } = await refusalOf(api.operator.config.list({ scope }));
      expect(['NotFound', 'InvalidArgument']).toContain(code);
    }
    const beyond = api.operator.config.getRevision({ scope: 'acme', revision: 2n ** 64n - 1n });
    expect((await refusalOf(beyond)).code).toBe('InvalidArgument');
    const nul = api.operator.tokens.createToken({ name: 'a\0b', role: Role.OPERATOR });
    expect((await refusalOf(nul)).code).toBe('InvalidArgument');
  });

  it('has health and bounded metrics for whoever asks', async () => {
    const text = await (await fetch(`${api.url}/metrics`)).text();
    expect(text).toContain('signalbox_api_requests_total{method="Apply",');
    expect(text).not.toContain('acme');
  });
});
