import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fieldsOf } from './field.ts';
import { passGate, type RawRequest } from './request-gate.ts';

const limits = { maxHeaders: 10, maxUrlBytes: 100 };

interface Changes extends Partial<Omit<RawRequest, 'fields'>> {
  /** All of them, name, value, name, value …. */
  readonly rawHeaders?: readonly string[];
  /** Behind a Host header. */
  readonly headers?: readonly string[];
}

function gate({ headers = [], rawHeaders = ['Host', 'a.test', ...headers], ...rest }: Changes = {}) {
  const request = { method: 'POST', target: '/acme/mcp', httpVersion: '1.1', fields: fieldsOf(rawHeaders) };
  return passGate({ ...request, ...rest }, limits);
}

const statusOf = (changes: Parameters<typeof gate>[0]) => gate(changes).refusal?.status;

describe('the gate lets pass', () => {
  it('a plain request, and says what it is', () => {
    const rawHeaders = ['HOST', 'A.Test:8080', 'X-a', '1', 'x-A', '2', 'Content-Length', '5', 'Expect', '100-Continue'];
    const result = gate({ target: '/acme/mcp?q=%2f..', rawHeaders });
    expect(result).toEqual({
      refusal: undefined,
      head: {
        path: '/acme/mcp',
        query: 'q=%2f..',
        host: 'a.test',
        fields: fieldsOf(rawHeaders),
        contentLength: 5,
        expectsContinue: true,
      },
    });
  });

  it.each([
    ['localhost', 'localhost'],
    ['LOCALHOST:1', 'localhost'],
    ['127.0.0.1:65535', '127.0.0.1'],
    ['[::1]:8080', '[::1]'],
    ['[::FFFF:1.2.3.4]', '[::ffff:1.2.3.4]'],
    ['a-b.example.', 'a-b.example.'],
  ])('the Host %s as %s', (value, host) => {
    expect(gate({ rawHeaders: ['Host', value] })).toMatchObject({ refusal: undefined, head: { host } });
  });

  it.each([
    '/',
    '/a/b/',
    '/a//b',
    '/%41%7e',
    '/a.b/..c/...',
    '/.well-known/x',
    "/a;b=c/@:!$&'()*+,=",
    '/a?x=/../&y=%00',
  ])('the target %s', (target) => {
    expect(statusOf({ target })).toBeUndefined();
  });

  it('chunked bodies, empty ones, and none', () => {
    const length = (headers: string[]) => gate({ headers });
    expect(length(['Transfer-Encoding', 'Chunked'])).toMatchObject({ head: { contentLength: undefined } });
    expect(length(['Content-Length', '0'])).toMatchObject({ head: { contentLength: 0 } });
    expect(length([])).toMatchObject({ head: { contentLength: 0 } });
    expect(statusOf({ method: 'GET', headers: ['Content-Length', '0'] })).toBeUndefined();
    expect(statusOf({ headers: ['Content-Encoding', 'identity'] })).toBeUndefined();
  });
});

describe('the gate refuses', () => {
  it.each([
    '//evil.test/x',
    'http://evil.test/x',
    'evil.test:443',
    '*',
    '',
    'a',
    '/a#b',
    '/a\\b',
    '/a b',
    '/a\tb',
    '/a\x7f',
    '/\xe9',
    '/a?\xe9',
    '/a?b#c',
    '/a"b',
    '/a<b',
    '/a|b',
    '/a^b',
    '/a`b',
    '/a{b}',
    '/.',
    '/..',
    '/a/..',
    '/a/../b',
    '/a/./b',
    '/mcp/.',
    '/a%2fb',
    '/a%2Fb',
    '/a%5cb',
    '/a%00',
    '/%2e%2e/b',
    '/a/%2E',
    '/a%',
    '/a%4',
    '/a%zz',
  ])('the target %j', (target) => {
    expect(statusOf({ target })).toBe(400);
  });

  it('a target that is too long', () => {
    expect(statusOf({ target: `/${'a'.repeat(99)}` })).toBeUndefined();
    expect(statusOf({ target: `/${'a'.repeat(100)}` })).toBe(414);
  });

  it.each(['1.0', '0.9', '2.0'])('HTTP/%s', (httpVersion) => {
    expect(statusOf({ httpVersion })).toBe(400);
  });

  it.each(['TRACE', 'CONNECT', 'PROPFIND', 'get', ''])('the method %j', (method) => {
    expect(statusOf({ method })).toBe(405);
  });

  it.each([
    'Host',
    'Authorization',
    'Content-Type',
    'Content-Length',
    'Content-Encoding',
    'Transfer-Encoding',
    'Expect',
    'Origin',
    'Mcp-Session-Id',
    'MCP-Protocol-Version',
    'mcp-anything',
  ])('a repeated %s, however it is spelled', (name) => {
    const values: Record<string, string> = { 'Content-Length': '0', 'Transfer-Encoding': 'chunked', Host: 'a.test' };
    const value = values[name] ?? 'x';
    expect(statusOf({ rawHeaders: ['host', 'a.test', name, value, name.toUpperCase(), value] })).toBe(400);
  });

  it.each([
    '',
    ' ',
    'a b',
    'a,b',
    'user@a.test',
    'a.test/x',
    'a.test:',
    'a.test:x',
    'a.test:123456',
    '[::1',
    '::1',
    '[a.test]',
    '-a',
    'a.test:80:80',
    'ａ',
  ])('the Host %j', (host) => {
    expect(statusOf({ rawHeaders: ['Host', host] })).toBe(400);
  });

  it('a request without Host', () => {
    expect(statusOf({ rawHeaders: [] })).toBe(400);
  });

  it.each(['\xe9', 'a\0', 'a\x7f', 'a\rb', 'a\nb', '\x80'])('the header value %j', (value) => {
    expect(statusOf({ headers: ['X-A', value] })).toBe(400);
  });

  it('too many headers', () => {
    const headers = (count: number) => Array.from({ length: count }, (_, i) => [`X-${i}`, '']).flat();
    expect(statusOf({ headers: headers(9) })).toBeUndefined();
    expect(statusOf({ headers: headers(10) })).toBe(431);
    expect(statusOf({ headers: headers(100) })).toBe(431);
  });

  it.each([
    ['a length and chunks', ['Content-Length', '5', 'Transfer-Encoding', 'chunked']],
    ['chunks and a length', ['Transfer-Encoding', 'chunked', 'Content-Length', '5']],
    ['a coding that is not chunked', ['Transfer-Encoding', 'gzip, chunked']],
    ['an identity coding', ['Transfer-Encoding', 'identity']],
    ['a signed length', ['Content-Length', '+5']],
    ['a list of lengths', ['Content-Length', '5, 5']],
    ['a hexadecimal length', ['Content-Length', '0x5']],
    ['an empty length', ['Content-Length', '']],
    ['an enormous length', ['Content-Length', '99999999999999999999']],
  ])('a body with %s', (_, headers) => {
    expect(statusOf({ headers })).toBe(400);
  });

  it.each(['GET', 'HEAD'])('a body on %s', (method) => {
    expect(statusOf({ method, headers: ['Content-Length', '5'] })).toBe(400);
    expect(statusOf({ method, headers: ['Transfer-Encoding', 'chunked'] })).toBe(400);
  });

  it('what it cannot meet: another expectation, an encoded body', () => {
    expect(statusOf({ headers: ['Expect', '200-ok'] })).toBe(417);
    expect(statusOf({ headers: ['Content-Encoding', 'gzip'] })).toBe(415);
  });

  it('without quoting what was sent', () => {
    const secret = 'top-secret';
    const results = [
      gate({ target: `/${secret} ` }),
      gate({ headers: ['X', `${secret}\0`] }),
      gate({ headers: ['Expect', secret] }),
    ];
    for (const { refusal } of results) {
      expect(refusal?.status).toBeGreaterThanOrEqual(400);
      expect(refusal?.reason).not.toContain(secret);
    }
  });
});

describe('whatever is sent', () => {
  /** What a URL parser makes of host and path is what the gate took them for. */
  function isUnambiguous(target: string, host: string): boolean {
    const result = gate({ target, rawHeaders: ['Host', host] });
    if (result.refusal) return true;
    const { path } = result.head;
    const url = URL.parse(path, `http://${host}`);
    return url?.pathname === path && url.host !== '' && url.username === '' && !/[#\\\s]/.test(path);
  }

  it('what passes is a plain path on a plain host', () => {
    const piece = fc.constantFrom(
      '/',
      '.',
      '..',
      '%2e',
      '%',
      '#',
      '\\',
      '?',
      'a',
      'b',
      ' ',
      '\0',
      '%5C',
      '%41',
      ';',
      '@',
      ':',
    );
    const host = fc.constantFrom(
      'a.test',
      '[::1]:80',
      'x:1',
      'a@b',
      'a/b',
      'a b',
      '',
      'a.test#',
      '[::',
      'a%41',
      '\xe9',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), host, (pieces, name) => {
        expect(isUnambiguous(`/${pieces.join('')}`, name)).toBe(true);
      }),
      { numRuns: 5_000 },
    );
  });
});
