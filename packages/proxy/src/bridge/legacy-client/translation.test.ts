import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ScannedMessage } from '../../json/message.ts';
import { responseScanLimits, scanBody } from '../../json/scan.ts';
import { legacyEdits } from './to-legacy.ts';
import { modernRequestHeaders, toModernBody } from './to-modern.ts';
import { splice, withoutMembers } from '../../mcp/splice.ts';

const facts = { version: '2025-11-25', capabilities: '{"sampling":{}}', clientInfo: '{"name":"c","version":"1"}' };
const ownMeta = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': { sampling: {} },
  'io.modelcontextprotocol/clientInfo': { name: 'c', version: '1' },
};

function scanned(value: unknown): ScannedMessage {
  const body = scanBody(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)), responseScanLimits);
  if (body.kind !== 'message') throw new Error(`not a message: ${JSON.stringify(value)}`);
  return body.message;
}

const modern = (value: unknown, more?: Parameters<typeof toModernBody>[2]): unknown =>
  JSON.parse(toModernBody(scanned(value), facts, more).toString());
const legacy = (value: unknown, method = 'tools/call'): unknown => {
  const message = scanned(value);
  return JSON.parse(splice(message.bytes, legacyEdits(message, '"client"', method)).toString());
};
const call = (params?: unknown) => ({ jsonrpc: '2.0', id: 'a', method: 'tools/call', ...(params ? { params } : {}) });
const answer = (result: unknown) => ({ jsonrpc: '2.0', id: 'a', result });

describe('a legacy request, said to a modern server', () => {
  it('says who the client is and what it can do, with params and without', () => {
    expect(modern(call())).toEqual(call({ _meta: ownMeta }));
    expect(modern(call({}))).toEqual(call({ _meta: ownMeta }));
    expect(modern(call({ name: 't' }))).toEqual(call({ name: 't', _meta: ownMeta }));
    expect(modern(call({ name: 't', _meta: {} }))).toEqual(call({ name: 't', _meta: ownMeta }));
    expect(modern(call({ _meta: { progressToken: 7 } }))).toEqual(call({ _meta: { progressToken: 7, ...ownMeta } }));
  });

  it('asks for log messages from the level on that the client has set', () => {
    const withLevel = { _meta: { ...ownMeta, 'io.modelcontextprotocol/logLevel': 'info' } };
    expect(modern(call({}), { level: '"info"' })).toEqual(call(withLevel));
  });

  it('brings answers and state in a further round, under an id of its own', () => {
    const round = { id: '"a.1"', inputResponses: '{"k":{"action":"accept"}}', requestState: '"st\\u0061te"' };
    const params = { inputResponses: { k: { action: 'accept' } }, requestState: 'state', name: 't', _meta: ownMeta };
    expect(modern(call({ name: 't' }), { round })).toEqual({ ...call(params), id: 'a.1' });
    expect(toModernBody(scanned(call({ name: 't' })), facts, { round }).toString()).toContain('"st\\u0061te"');
  });

  it('leaves every other byte as it came', () => {
    const text =
      '{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{ "arguments":{"n":1.10e+2,"s":"\\u00e9"}, "name":"t" }}';
    expect(toModernBody(scanned(text), facts).toString()).toContain(
      ' "arguments":{"n":1.10e+2,"s":"\\u00e9"}, "name":"t" }}',
    );
  });

  it('repeats method and name in headers, encoded where a header cannot hold them', () => {
    const headers = modernRequestHeaders({ method: 'tools/call', name: 'größe', uri: undefined });
    expect(headers.slice(-4)).toEqual(['Mcp-Method', 'tools/call', 'Mcp-Name', '=?base64?Z3LDtsOfZQ==?=']);
    expect(modernRequestHeaders({ method: 'resources/read', name: undefined, uri: 'test://a' })).toContain('test://a');
    expect(modernRequestHeaders({ method: 'tools/list', name: undefined, uri: undefined })).not.toContain('Mcp-Name');
  });
});

describe('a modern answer, given to a legacy client', () => {
  it('loses what only the modern era has, and keeps everything else', () => {
    const result = { resultType: 'complete', content: [], ttlMs: 5, cacheScope: 'private', unknown: 1 };
    expect(legacy(answer(result))).toEqual({ jsonrpc: '2.0', id: 'client', result: { content: [], unknown: 1 } });
  });

  it('has structured content and its schema only where they are objects', () => {
    expect(legacy(answer({ content: [], structuredContent: [1] }))).toHaveProperty('result', { content: [] });
    expect(legacy(answer({ content: [], structuredContent: {} }))).toHaveProperty('result.structuredContent', {});
    const tools = [
      { name: 'a', outputSchema: { type: 'array' } },
      { name: 'b', outputSchema: { type: 'object' } },
    ];
    expect(legacy(answer({ tools }), 'tools/list')).toHaveProperty('result.tools', [{ name: 'a' }, tools[1]]);
  });

  it('words a missing resource, and what is said about the gateway’s hop, in the client’s era', () => {
    const error = (code: number, data?: unknown) => ({ jsonrpc: '2.0', id: 'a', error: { code, message: 'm', data } });
    expect(legacy(error(-32_602, { uri: 'x:' }), 'resources/read')).toHaveProperty('error.code', -32_002);
    expect(legacy(error(-32_602), 'resources/read')).toHaveProperty('error.code', -32_602);
    expect(legacy(error(-32_602, { uri: 'x:' }), 'tools/call')).toHaveProperty('error.code', -32_602);
    for (const code of [-32_020, -32_021, -32_022]) expect(legacy(error(code))).toHaveProperty('error.code', -32_603);
  });
});

describe('taking members out of an object', () => {
  it('leaves the object that has never had them', () => {
    const keys = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), { minLength: 0, maxLength: 6 });
    fc.assert(
      fc.property(keys, keys, fc.constantFrom('', ' ', '\n  '), (present, gone, space) => {
        const members = present.map((key) => `"${key}"${space}:${space}{"${key}":[1,"x,}"]}`);
        const bytes = Buffer.from(`{${space}${members.join(`${space},${space}`)}${space}}`);
        const edits = withoutMembers(bytes, { start: 0, end: bytes.length }, new Set(gone));
        const wanted = present.filter((key) => !gone.includes(key)).map((key) => [key, { [key]: [1, 'x,}'] }]);
        expect(Object.entries(JSON.parse(splice(bytes, edits).toString()) as object)).toEqual(wanted);
      }),
    );
  });
});
