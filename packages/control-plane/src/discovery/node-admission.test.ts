import { Metadata } from '@grpc/grpc-js';
import { systemClock } from '@signalbox/runtime';
import { describe, expect, it } from 'vitest';
import { NodeAdmission } from './node-admission.ts';

const identity = {
  ...{ tokenId: 't1', name: 'edge', gateway: 'edge', node: undefined, family: 'native' },
  tenants: null,
  isRelay: false,
};
const admission = new NodeAdmission({
  authenticator: {
    authenticate: async (token) => (token === 'good' ? identity : undefined),
    authenticateCertificate: async () => undefined,
  },
  trustDomain: 'test',
  scopes: { open: () => undefined },
  views: [],
  clock: systemClock,
});
const nodeWith = (metadata: Record<string, string>) => ({
  ...{ id: 'node-1', cluster: 'edge', userAgentName: '', userAgentVersion: '' },
  metadata,
});
const noHeaders = new Metadata();

describe('a client that cannot send headers', () => {
  it('is let in with the token in its metadata, for the family of that token', async () => {
    const grant = await admission.admit(noHeaders, nodeWith({ 'signalbox-token': 'good' }), undefined);
    expect(grant).toEqual({
      identity: { credentialId: 't1', name: 'edge' },
      family: 'native',
      collections: 'all',
    });
  });

  it.each([{}, { 'signalbox-token': 'bad' }])('is not let in with %o', async (metadata) => {
    expect(await admission.admit(noHeaders, nodeWith(metadata), undefined)).toHaveProperty('code', 16);
  });
});
