import type { RouteEntry, RoutingTable } from '@signalbox/config';
import { describe, expect, it } from 'vitest';
import { configDump } from './config-dump.ts';

const route: RouteEntry = {
  tenant: 'acme',
  name: 'assistant',
  gateway: 'default',
  digest: 'd1',
  endpoint: '/acme/assistant/mcp',
  condition: { hostnames: null, headers: [] },
  unenforceable: 'refuse',
  kind: 'mcp',
  limits: [],
  bounds: { timeoutMs: null, responseBytes: null, ids: [] },
  forwarding: {
    ...{ requestHeaders: null, responseHeaders: null, retry: null },
    timeouts: { requestMs: null, backendRequestMs: null, idleMs: null },
  },
  mcp: {
    virtualServer: 'assistant',
    sessionKey: 'acme/weather@1',
    federation: null,
    member: {
      backend: {
        ...{ tenant: 'acme', name: 'weather', key: 'k', kind: 'mcp', cardUrl: '', http: 'http1', tls: null },
        url: 'http://127.0.0.1:3001/mcp?token=hidden',
        connection: { connectMs: null, idleMs: null, maxConnections: null, maxPending: null },
      },
    },
  },
  authentication: {
    source: 'policy/open',
    digest: 'd2',
    revocations: null,
    apiKeys: new Map([['5e884898hidden', { subject: 'robot', groups: ['ops'] }]]),
    jwt: new Map([
      [
        'https://idp.example',
        {
          issuer: 'https://idp.example',
          audiences: ['signalbox'],
          groupsClaim: 'groups',
          jwks: { inline: '{"hidden":1}' },
        },
      ],
    ]),
    anonymous: null,
  },
  authorization: {
    digest: 'd3',
    rules: [{ id: 'policy/open/0', effect: 'allow', when: 'true' }],
  } as unknown as RouteEntry['authorization'],
};

const table: RoutingTable = {
  hash: 'whole',
  operator: {
    revision: 3n,
    hash: 'op',
    gateways: new Map([
      [
        'default',
        {
          name: 'default',
          listeners: [{ name: 'http', port: 8080, hostnames: new Set(['localhost']), allowedOrigins: null }],
          dataPlanes: new Set(['native'] as const),
        },
      ],
    ]),
    tenants: new Map([['acme', { name: 'acme', pathPrefixes: ['/acme'] }]]),
    ownerOf: () => undefined,
  },
  tenants: new Map([
    [
      'acme',
      {
        tenant: 'acme',
        revision: 7n,
        hash: 'set',
        routes: new Map([['assistant', route]]),
        quarantined: new Set<string>(),
      },
    ],
  ]),
  match: () => undefined,
};

describe('the dump of what is served', () => {
  it('is JSON with revisions, hashes, listeners, routes and rules', () => {
    const dump = JSON.parse([...configDump('node-1', table)].join(''));
    expect(dump).toMatchObject({
      node: 'node-1',
      hash: 'whole',
      operator: {
        revision: '3',
        gateways: [{ name: 'default', listeners: [{ port: 8080, hostnames: ['localhost'] }] }],
      },
      tenants: [
        {
          tenant: 'acme',
          revision: '7',
          routes: [
            {
              name: 'assistant',
              endpoint: '/acme/assistant/mcp',
              authorization: [{ id: 'policy/open/0', when: 'true' }],
            },
          ],
        },
      ],
    });
  });

  it('has nothing in it that proves an identity', () => {
    const dump = [...configDump('node-1', table)].join('');
    expect(dump).not.toContain('hidden');
    expect(dump).toContain('robot');
  });

  it('is JSON before the first table, too', () => {
    expect(JSON.parse([...configDump('node-1', undefined)].join(''))).toEqual({
      node: 'node-1',
      hash: null,
      operator: null,
      tenants: [],
    });
  });
});
