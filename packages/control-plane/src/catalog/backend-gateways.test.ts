import { decodeDocument, makeSnapshot, type StoredResource } from '@signalbox/config';
import { describe, expect, it } from 'vitest';

import { BackendGateways } from './backend-gateways.ts';

function stored(kind: string, name: string, spec: Parameters<typeof decodeDocument>[0]['spec']): StoredResource {
  const { resource, problems } = decodeDocument({ kind, tenant: 'acme', name, spec });
  if (!resource) throw new Error(problems.map(({ message }) => message).join('; '));
  return resource.stored;
}

const route = (name: string, gateway: string) =>
  stored('Route', name, { gateway, match: { path: `/acme/${name}` }, mcp: { virtualServer: 'both' } });

describe('the gateways that reach a backend', () => {
  const tenant = makeSnapshot('acme', 1n, [
    stored('VirtualServer', 'both', {
      members: [
        { backend: 'a', prefix: 'a' },
        { backend: 'b', prefix: 'b' },
      ],
    }),
    stored('VirtualServer', 'alone', { members: [{ backend: 'c' }] }),
    ...[route('one', 'edge'), route('two', 'inside')],
  ]);
  const gateways = new BackendGateways();

  it('are those of the routes that lead to it', () => {
    expect([...(gateways.of(tenant, 'a') ?? [])].sort()).toEqual(['edge', 'inside']);
    expect(gateways.of(tenant, 'b')).toEqual(gateways.of(tenant, 'a'));
  });

  it('are not known where no route leads to it', () => {
    expect([gateways.of(tenant, 'c'), gateways.of(tenant, 'd')]).toEqual([undefined, undefined]);
  });
});
