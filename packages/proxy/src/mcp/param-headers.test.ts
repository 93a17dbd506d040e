import { describe, expect, it } from 'vitest';
import { RequestPath } from '../testing/request-path.ts';
import { paramHeaderFields, paramHeadersOf } from './param-headers.ts';

const inputSchema = {
  type: 'object',
  properties: {
    region: { type: 'string', 'x-mcp-header': 'Region' },
    page: { type: 'integer', 'x-mcp-header': 'Page' },
    user: { type: 'object', properties: { known: { type: 'boolean', 'x-mcp-header': 'Known' } } },
    plain: { type: 'string' },
  },
};

const span = (bytes: Buffer) => ({ start: 0, end: bytes.length });
const tool = Buffer.from(JSON.stringify({ name: 'echo', inputSchema }));

describe('arguments that travel as headers', () => {
  it.each([
    [{ region: 'eu', page: 7, user: { known: true }, plain: 'x' }, ['Region', 'eu', 'Page', '7', 'Known', 'true']],
    [{ region: 'Zürich' }, ['Region', '=?base64?WsO8cmljaA==?=']],
    [{ region: null, page: null, user: {} }, []],
    [{ region: 'null', user: { known: false } }, ['Region', 'null', 'Known', 'false']],
    [{ region: '' }, ['Region', '=?base64??=']],
  ])('are those that the input schema names, null and absent ones aside: %j', (args, expected) => {
    const bytes = Buffer.from(JSON.stringify(args));
    const fields = paramHeaderFields(paramHeadersOf(tool, span(tool)), bytes, span(bytes));
    expect(fields).toEqual(expected.map((text, at) => (at % 2 === 0 ? `Mcp-Param-${text}` : text)));
  });

  it('are none where the annotations are wrong', () => {
    const wrong = Buffer.from(
      JSON.stringify({ inputSchema: { properties: { a: { type: 'number', 'x-mcp-header': 'A' } } } }),
    );
    expect(paramHeadersOf(wrong, span(wrong))).toEqual([]);
  });
});

describe('a call of a tool that was listed with such arguments', () => {
  const call = async (args: object, headers: Record<string, string>) => {
    const path = new RequestPath();
    await path.modern('tools/list');
    path.upstream.last.result({ tools: [{ name: 'echo', inputSchema }] });
    const sent = path.upstream.calls.length;
    const exchange = await path.modern('tools/call', { name: 'echo', arguments: args }, { headers });
    const reached = path.upstream.calls.length > sent;
    if (reached) path.upstream.last.result({ resultType: 'complete' });
    return { path, exchange, reached };
  };

  it.each([
    ['the same', { region: 'eu' }, { 'mcp-param-region': 'eu' }],
    ['the same, encoded', { region: 'eu' }, { 'mcp-param-region': '=?base64?ZXU=?=' }],
    ['the same number, written otherwise', { page: 7 }, { 'mcp-param-page': '07' }],
    ['unknown', { plain: 'x' }, { 'mcp-param-other': 'x' }],
  ])('goes on where headers are %s', async (_, args, headers) => {
    const { path, exchange, reached } = await call(args, headers as Record<string, string>);
    expect([reached, exchange.status]).toEqual([true, 200]);
    for (const [name, value] of Object.entries(headers)) expect(path.upstream.last.header(name)).toBe(value);
  });

  it.each([
    ['missing', { region: 'eu' }, {}],
    ['another', { region: 'eu' }, { 'mcp-param-region': 'us' }],
    ['without its argument', {}, { 'mcp-param-region': 'eu' }],
    ['not validly encoded', { region: 'eu' }, { 'mcp-param-region': '=?base64?***?=' }],
    ['not ASCII', { region: 'é' }, { 'mcp-param-region': 'é' }],
  ])('is refused with -32020 where a header is %s', async (_, args, headers) => {
    const { exchange, reached } = await call(args, headers as Record<string, string>);
    expect([reached, exchange.status, exchange.json]).toMatchObject([false, 400, { error: { code: -32020 } }]);
  });
});
