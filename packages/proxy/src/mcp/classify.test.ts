import { classifyInboundRequest, type InboundClassificationOutcome } from '@modelcontextprotocol/server';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { requestScanLimits, scanBody } from '../json/scan.ts';
import { classify, type Classified, type DoorHeaders } from './classify.ts';

const versionKey = 'io.modelcontextprotocol/protocolVersion';
const capabilitiesKey = 'io.modelcontextprotocol/clientCapabilities';
const infoKey = 'io.modelcontextprotocol/clientInfo';

const versions = ['2026-07-28', '2025-11-25', '2025-03-26', '2027-01-01'];
const methods = ['initialize', 'tools/list', 'tools/call', 'server/discover', 'notifications/initialized', 'x'];

const version = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...versions) }, fc.constant(5), fc.constant(null));
const meta = fc.record(
  {
    [versionKey]: version,
    [capabilitiesKey]: fc.oneof({ weight: 4, arbitrary: fc.constant({}) }, fc.constant('no'), fc.constant(5)),
    [infoKey]: fc.constant({ name: 'c', version: '1' }),
    progressToken: fc.constantFrom(1, 'p'),
  },
  { requiredKeys: [] },
);
const params = fc.oneof(
  { weight: 6, arbitrary: fc.record({ _meta: meta, name: fc.constantFrom('a', 'b') }, { requiredKeys: [] }) },
  fc.record({ protocolVersion: fc.constantFrom(...versions) }),
  fc.constant({ _meta: 'no' }),
  fc.constant([1]),
);
const message = fc.record(
  {
    jsonrpc: fc.oneof({ weight: 9, arbitrary: fc.constant('2.0') }, fc.constant('1.0')),
    id: fc.oneof({ weight: 6, arbitrary: fc.constantFrom(1, 'a', 0, -3) }, fc.constantFrom(null, 1.5, {})),
    method: fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...methods) }, fc.constant(5)),
    params,
  },
  { requiredKeys: ['jsonrpc', 'method'] },
);
const answer = fc.record(
  { jsonrpc: fc.constant('2.0'), id: fc.constantFrom(1, 'a'), result: fc.constant({ x: 1 }) },
  { requiredKeys: ['jsonrpc', 'id'] },
);
const body = fc.oneof(
  { weight: 8, arbitrary: message },
  answer,
  fc.array(fc.oneof(message, answer), { maxLength: 3 }),
  fc.constantFrom(null, 5, 'x', {}),
);
const headers = fc.record({
  version: fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...versions) }, fc.constant(undefined)),
  method: fc.oneof(fc.constantFrom(...methods), fc.constant(undefined)),
});

/** What both classifiers say, in one vocabulary. Versions that nobody serves come after the rungs that are compared. */
function ours(classified: Classified): string {
  switch (classified.kind) {
    case 'refused':
      return `refused ${classified.refusal.status} ${classified.refusal.code}`;
    case 'legacy-batch':
      return 'legacy batch';
    case 'legacy':
      return classified.message === 'request' ? 'legacy no-claim' : `legacy ${classified.message}`;
    case 'modern':
      return `modern ${classified.message}`;
  }
}

function theirs(outcome: InboundClassificationOutcome, given: DoorHeaders): string {
  if (outcome.kind === 'reject') return `refused ${outcome.httpStatus} ${outcome.code}`;
  if (outcome.kind === 'legacy') return `legacy ${outcome.reason}`;
  if (outcome.classification.revision !== '2026-07-28') return 'refused 400 -32022';
  const isRequest = outcome.messageKind === 'request';
  const lacks = given.version === undefined || given.method === undefined;
  return isRequest && lacks ? 'refused 400 -32020' : `modern ${outcome.messageKind}`;
}

describe('the door', () => {
  it('agrees with the classifier of the public SDK on every generated message', () => {
    fc.assert(
      fc.property(body, headers, (value, { version: headerVersion, method }) => {
        const name = nameOf(value);
        const given: DoorHeaders = { version: headerVersion, method, name };
        const outcome = classifyInboundRequest({
          httpMethod: 'POST',
          body: value,
          ...(headerVersion === undefined ? {} : { protocolVersionHeader: headerVersion }),
          ...(method === undefined ? {} : { mcpMethodHeader: method }),
          ...(name === undefined ? {} : { mcpNameHeader: name }),
        });
        const scanned = scanBody(Buffer.from(JSON.stringify(value)), requestScanLimits);
        expect(ours(classify(given, scanned))).toBe(theirs(outcome, given));
      }),
      { numRuns: 3_000 },
    );
  });

  it('needs Mcp-Name only where the body names something', () => {
    const of = (value: object, name: string | undefined): string => {
      const { method } = value as { method: string };
      const scanned = scanBody(Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, ...value })), requestScanLimits);
      return ours(classify({ version: '2026-07-28', method, name }, scanned));
    };
    const _meta = { [versionKey]: '2026-07-28', [capabilitiesKey]: {} };
    expect(of({ method: 'tools/call', params: { _meta, name: 'a' } }, 'a')).toBe('modern request');
    expect(of({ method: 'tools/call', params: { _meta, name: 'a' } }, undefined)).toBe('refused 400 -32020');
    expect(of({ method: 'tools/call', params: { _meta, name: 'a' } }, 'b')).toBe('refused 400 -32020');
    expect(of({ method: 'resources/read', params: { _meta, uri: 'u' } }, 'u')).toBe('modern request');
    expect(of({ method: 'tasks/get', params: { _meta, taskId: 't' } }, 'other')).toBe('refused 400 -32020');
    expect(of({ method: 'tools/call', params: { _meta } }, undefined)).toBe('modern request');
    expect(of({ method: 'tools/list', params: { _meta, name: 'a' } }, undefined)).toBe('modern request');
  });
});

function nameOf(value: unknown): string | undefined {
  const found = (value as { params?: { name?: unknown } } | null)?.params?.name;
  return typeof found === 'string' ? found : undefined;
}
