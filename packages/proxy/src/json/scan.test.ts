import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ScannedMessage, Span } from './message.ts';
import { requestScanLimits, type ScanLimits, scanBody } from './scan.ts';

const limits = requestScanLimits;

function scan(text: string | Buffer, changes: Partial<ScanLimits> = {}) {
  return scanBody(Buffer.from(text as string), { ...limits, ...changes });
}

function message(text: string): ScannedMessage {
  const body = scan(text);
  if (body.kind !== 'message') throw new Error(`expected a message, got ${JSON.stringify(body)}`);
  return body.message;
}

function faultOf(text: string | Buffer, changes: Partial<ScanLimits> = {}) {
  const body = scan(text, changes);
  return body.kind === 'fault' ? body.fault.fault : body.kind;
}

function textOf(scanned: ScannedMessage, span: Span | undefined) {
  return span && scanned.bytes.toString('utf8', span.start, span.end);
}

describe('a message', () => {
  it('yields the parts that routing and policy need', () => {
    const scanned = message(
      ' {"jsonrpc":"2.0","id" : "a-1","method":"tools/call","params":{"name":"echo","arguments":{"x":[1,{"name":"no"}]},"_meta":{"k":1}}} ',
    );
    expect(scanned).toMatchObject({
      jsonrpc: true,
      method: 'tools/call',
      idType: 'string',
      paramsType: 'object',
      name: 'echo',
      uri: undefined,
    });
    expect(textOf(scanned, scanned.id)).toBe('"a-1"');
    expect(textOf(scanned, scanned.args)).toBe('{"x":[1,{"name":"no"}]}');
    expect(textOf(scanned, scanned.meta)).toBe('{"k":1}');
    expect(textOf(scanned, scanned.params)).toMatch(/^\{"name".*\}$/);
    expect(textOf(scanned, scanned.span)).toMatch(/^\{"jsonrpc".*\}$/);
  });

  it('is a response when it carries a result or an error', () => {
    const result = message('{"id":1,"result":{"method":"x"}}');
    expect(result).toMatchObject({ hasResult: true, hasError: false, method: undefined, jsonrpc: false });
    expect(textOf(result, result.result)).toBe('{"method":"x"}');
    const error = message('{"id":1,"error":{"code":-1}}');
    expect(error).toMatchObject({ hasResult: false, hasError: true });
    expect(textOf(error, error.error)).toBe('{"code":-1}');
  });

  it.each([
    ['1', 'integer'],
    ['-0', 'integer'],
    ['9007199254740993', 'integer'],
    ['1.0', 'fraction'],
    ['1e2', 'fraction'],
    ['null', 'null'],
    ['true', 'other'],
    ['{}', 'other'],
    ['[]', 'other'],
    ['"1"', 'string'],
  ])('with the id %s has an id of type %s, kept as it stands', (id, idType) => {
    const scanned = message(`{"id":${id}}`);
    expect(scanned.idType).toBe(idType);
    expect(textOf(scanned, scanned.id)).toBe(id);
  });

  it('decodes method, name and uri', () => {
    const scanned = message(
      '{"\\u006dethod":"tools\\/call","params":{"name":"\\u00e9\\n","uri":"file:///\\ud83d\\ude00"}}',
    );
    expect(scanned).toMatchObject({ method: 'tools/call', name: 'é\n', uri: 'file:///😀' });
  });

  it('has no name when that is not a string', () => {
    expect(message('{"method":1,"params":{"name":["x"],"uri":null}}')).toMatchObject({
      method: undefined,
      name: undefined,
      uri: undefined,
    });
    expect(message('{"jsonrpc":[2.0],"params":[{"name":"x"}]}')).toMatchObject({
      jsonrpc: false,
      paramsType: 'other',
      name: undefined,
    });
  });
});

describe('a body', () => {
  it('may be a batch of messages', () => {
    const body = scan('[{"id":1,"method":"a"}, {"id":2,"method":"b","params":{"name":"n"}}]');
    expect(body).toMatchObject({
      kind: 'batch',
      items: [
        { method: 'a', name: undefined },
        { method: 'b', name: 'n' },
      ],
    });
    expect(scan('[]')).toEqual({ kind: 'batch', items: [] });
    expect(faultOf(`[${'{},'.repeat(100)}{}]`)).toBe('batch-too-long');
  });

  it.each(['1', '"x"', 'null', '[1]', '[{},[]]'])('of %s is not a message', (text) => {
    expect(scan(text).kind).toBe('not-a-message');
  });

  it.each([
    ['', 'empty'],
    [' \n', 'empty'],
    ['{}x', 'trailing'],
    ['{} {}', 'trailing'],
    ['[{}],', 'trailing'],
    ['\ufeff{}', 'syntax'],
    ['{"a":1,}', 'syntax'],
    ['{a:1}', 'syntax'],
    ["{'a':1}", 'syntax'],
    ['{"a":01}', 'syntax'],
    ['{"a":1.}', 'syntax'],
    ['{"a":.5}', 'syntax'],
    ['{"a":+1}', 'syntax'],
    ['{"a":1e}', 'syntax'],
    ['{"a":NaN}', 'syntax'],
    ['{"a":tru}', 'syntax'],
    ['{"a":"\t"}', 'syntax'],
    ['{"a":"\\x41"}', 'syntax'],
    ['{"a":"\\u12g4"}', 'syntax'],
    ['{"a":"\\', 'syntax'],
    ['{"a":"\\u00', 'syntax'],
    ['{"a":"unclosed', 'syntax'],
    ['{"a":1/**/}', 'syntax'],
    ['{"a" 1}', 'syntax'],
    ['{', 'syntax'],
    ['[', 'syntax'],
    ['-', 'syntax'],
  ])('of %j is refused as %s', (text, fault) => {
    expect(faultOf(text)).toBe(fault);
  });

  it.each([
    ['overlong', [0x22, 0xc0, 0xaf, 0x22], 1],
    ['a surrogate', [0x22, 0x61, 0xed, 0xa0, 0x80, 0x22], 2],
    ['cut short', [0x22, 0xe2, 0x82, 0x22], 1],
    ['UTF-16', [0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00], 0],
  ])('whose UTF-8 is %s is refused where it goes wrong', (_, bytes, at) => {
    expect(scan(Buffer.from(bytes))).toEqual({ kind: 'fault', fault: { fault: 'utf8', at } });
  });

  it('with half a surrogate pair in a key or a name is refused, elsewhere it is forwarded', () => {
    expect(faultOf('{"\\ud800":1}')).toBe('utf8');
    expect(faultOf('{"params":{"name":"a\\ud800"}}')).toBe('utf8');
    expect(faultOf('{"params":{"arguments":{"text":"a\\ud800"}}}')).toBe('message');
  });
});

describe('keys', () => {
  it.each([
    '{"method":"a","method":"b"}',
    '{"method":"tools/list","\\u006dethod":"tools/call"}',
    '{"\\u006dethod":"tools/list","m\\u0065thod":"tools/call"}',
    '{"params":{"name":"a","name":"b"}}',
    '{"params":{"arguments":{"a":{"deep":1,"x":2,"deep":3}}}}',
    '{"params":{"_meta":{"é":1,"\\u00e9":2}}}',
    '[{"a":1,"a":2}]',
    '{"":1,"":2}',
    '[[{"a":1,"b":2,"a":3}]]',
  ])('that are repeated are refused: %s', (text) => {
    expect(faultOf(text)).toBe('duplicate-key');
  });

  it('may repeat in different objects', () => {
    expect(scan('{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}').kind).toBe('message');
  });

  it.each(['{"__proto__":1}', '{"a":[{"__proto__":{}}]}', '{"params":{"__pr\\u006fto__":1}}'])(
    'named __proto__ are refused: %s',
    (text) => {
      expect(faultOf(text)).toBe('forbidden-key');
    },
  );

  it.each([
    '{"Method":"x"}',
    '{"METHOD":"x"}',
    '{"paramſ":{}}',
    '{"\\u004dethod":"x"}',
    '{"params":{"name":"a__ok","Name":"b__bad"}}',
    '{"params":{"argumentſ":{}}}',
  ])('that are a second spelling of a reserved one are refused: %s', (text) => {
    expect(faultOf(text)).toBe('forbidden-key');
  });

  it('spelled alike elsewhere are just keys', () => {
    expect(scan('{"params":{"arguments":{"Name":1,"name":2,"Method":3}}}').kind).toBe('message');
  });

  it('are counted up to the bound', () => {
    const object = (count: number) => `{${Array.from({ length: count }, (_, i) => `"k${i}":0`).join()}}`;
    expect(faultOf(object(10_000))).toBe('message');
    expect(faultOf(object(10_001))).toBe('too-many-keys');
    expect(faultOf(object(100_000))).toBe('too-many-keys');
    expect(faultOf(object(100_000), { maxKeys: 200_000 })).toBe('message');
    expect(faultOf(`{"k9999":1,${object(10_000).slice(1)}`, { maxKeys: 200_000 })).toBe('duplicate-key');
    expect(faultOf('{"a":1}')).toBe('message');
  });
});

describe('bounds', () => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

  it('hold for depth at the bound, one more, and far more', () => {
    expect(faultOf(nested(64))).toBe('not-a-message');
    expect(faultOf(nested(65))).toBe('depth');
    expect(faultOf('['.repeat(10_000))).toBe('depth');
    expect(faultOf('{"a":'.repeat(10_000))).toBe('depth');
    expect(faultOf('['.repeat(5_000_000))).toBe('depth');
    expect(faultOf(`{"params":${'{"a":'.repeat(62)}1${'}'.repeat(62)}}`)).toBe('message');
    expect(faultOf(`{"params":${'{"a":'.repeat(64)}1${'}'.repeat(64)}}`)).toBe('depth');
  });

  it('hold for strings and arrays', () => {
    expect(faultOf('"abcd"', { maxStringBytes: 4 })).toBe('not-a-message');
    expect(faultOf('"abcde"', { maxStringBytes: 4 })).toBe('too-large');
    expect(faultOf('{"abcde":1}', { maxStringBytes: 4 })).toBe('too-large');
    expect(faultOf('[1,2,3]', { maxElements: 3 })).toBe('not-a-message');
    expect(faultOf('[1,2,3,4]', { maxElements: 3 })).toBe('too-large');
  });
});

describe('against JSON.parse', () => {
  const json = fc.json({ noUnicodeString: false, maxDepth: 8 }) as fc.Arbitrary<string>;
  const someMessage = fc
    .record(
      {
        jsonrpc: fc.constantFrom<unknown>('2.0', '1.0', 2),
        id: fc.oneof(fc.integer(), fc.string({ unit: 'binary' }), fc.constant(null), fc.double()),
        method: fc.oneof(fc.string({ unit: 'binary' }), fc.integer()),
        params: fc.oneof(
          fc.record(
            {
              name: fc.oneof(fc.string({ unit: 'binary' }), fc.boolean()),
              uri: fc.string({ unit: 'grapheme' }),
              arguments: fc.jsonValue(),
              _meta: fc.jsonValue(),
            },
            { requiredKeys: [] },
          ),
          fc.jsonValue(),
        ),
      },
      { requiredKeys: [] },
    )
    .chain((value) =>
      fc.tuple(fc.constantFrom(undefined, 1, '\t'), fc.boolean()).map(([indent, ascii]) => {
        const text = JSON.stringify(value, undefined, indent);
        return ascii ? text.replace(/[^ -~\n\t]/gu, (c) => escapeEach(c)) : text;
      }),
    );

  it('finds the same method, name, uri, id and arguments', () => {
    fc.assert(
      fc.property(someMessage, (text) => {
        const body = scan(text);
        fc.pre(body.kind === 'message');
        expect(partsFound(body.message)).toEqual(partsParsed(text));
      }),
      { numRuns: 500 },
    );
  });

  it('accepts what JSON.stringify writes', () => {
    fc.assert(
      fc.property(json, (text) => {
        fc.pre(!/__proto__|\\ud[89a-f]/i.test(text));
        expect(['message', 'batch', 'not-a-message', 'forbidden-key']).toContain(faultOf(text));
      }),
      { numRuns: 500 },
    );
  });

  it('accepts nothing that JSON.parse refuses, whatever happened to the bytes, and never throws', () => {
    const mutation = fc.record({ at: fc.nat(), remove: fc.nat(3), insert: fc.uint8Array({ maxLength: 3 }) });
    fc.assert(
      fc.property(fc.oneof(json, someMessage), fc.array(mutation, { maxLength: 4 }), (text, mutations) => {
        let bytes = Buffer.from(text);
        for (const { at, remove, insert } of mutations) {
          const from = at % (bytes.length + 1);
          bytes = Buffer.concat([bytes.subarray(0, from), insert, bytes.subarray(from + remove)]);
        }
        const body = scanBody(bytes, limits);
        const at = body.kind === 'fault' ? body.fault.at : 0;
        expect(at >= 0 && at <= bytes.length).toBe(true);
        expect(body.kind === 'fault' || parses(bytes)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it('finds a repeated key wherever it is put and however it is written', () => {
    const key = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter((k) => k !== '__proto__');
    fc.assert(
      fc.property(
        fc.uniqueArray(key, { minLength: 1, maxLength: 60 }),
        fc.nat(),
        fc.boolean(),
        (keys, pick, escaped) => {
          const repeated = keys[pick % keys.length] as string;
          const written = escaped ? `"${escapeEach(repeated)}"` : JSON.stringify(repeated);
          const members = keys.map((k) => `${JSON.stringify(k)}:0`);
          const at = (where: string) => faultOf(`{"params":{"arguments":{"in":{${where}}}}}`);
          expect(at(members.join())).toBe('message');
          expect(at([...members, `${written}:1`].join())).toBe('duplicate-key');
        },
      ),
      { numRuns: 300 },
    );
  });
});

function escapeEach(text: string): string {
  return Array.from({ length: text.length }, (_, i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`).join(
    '',
  );
}

function parseAt(scanned: ScannedMessage, span: Span | undefined): unknown {
  return span && JSON.parse(scanned.bytes.toString('utf8', span.start, span.end));
}

function partsFound(found: ScannedMessage) {
  const { jsonrpc, method, name, uri } = found;
  const [id, args, meta] = [found.id, found.args, found.meta].map((span) => parseAt(found, span));
  return { jsonrpc, method, name, uri, id, args, meta };
}

function partsParsed(text: string) {
  const parsed = JSON.parse(text) as Record<string, unknown>;
  const params = isObject(parsed['params']) ? parsed['params'] : {};
  return {
    jsonrpc: parsed['jsonrpc'] === '2.0',
    method: stringOrNone(parsed['method']),
    name: stringOrNone(params['name']),
    uri: stringOrNone(params['uri']),
    id: parsed['id'],
    args: params['arguments'],
    meta: params['_meta'],
  };
}

function parses(bytes: Buffer): boolean {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
    return true;
  } catch {
    return false;
  }
}

function stringOrNone(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
