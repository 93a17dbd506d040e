import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { IdentifyNodeResponseSchema } from '@signalbox/proto/signalbox/node/v1/relay_service_pb.ts';
import { Metrics } from '@signalbox/runtime';
import { ManualClock, SeededRandom } from '@signalbox/runtime/testing';
import { describe, expect, it } from 'vitest';
import { newToken } from '../store/token-format.ts';
import { type Credential, UpstreamUnavailable } from './relay-client.ts';
import { UpstreamCredentials } from './upstream-credentials.ts';

type Answer = MessageInitShape<typeof IdentifyNodeResponseSchema>;

const { id, text } = newToken(new SeededRandom(1));
const token = text.reveal();
const usual: Answer = { tokenId: id, name: 'edge', gateway: 'default', family: 'native', allTenants: true };

function fixture(first: Answer | undefined = usual) {
  const upstream: { answer: Answer | undefined | Error } = { answer: first };
  const asked: Credential[] = [];
  const clock = new ManualClock(1_000);
  const credentials = new UpstreamCredentials({
    client: {
      identify: (credential) => {
        asked.push(credential);
        if (upstream.answer instanceof Error) return Promise.reject(upstream.answer);
        return Promise.resolve(upstream.answer && create(IdentifyNodeResponseSchema, upstream.answer));
      },
    },
    ...{ clock, metrics: new Metrics(), cacheMs: 1_000, cacheSize: 10, maxRemembered: 10 },
  });
  return { credentials, upstream, asked, clock };
}

const certificate = { gateway: 'default', node: 'node-1', serial: 'ab' };
const outage = new UpstreamUnavailable('connection refused');

describe('the credential of a node below a relay', () => {
  it('is who the upstream says; the token itself is not sent', async () => {
    const { credentials, asked } = fixture();
    expect(await credentials.authenticate(token)).toMatchObject({ tokenId: id, gateway: 'default', tenants: null });
    expect(JSON.stringify(asked)).not.toContain(token.split('_')[2]);
  });

  it('is nobody’s when the upstream knows it not, or when it is no token at all', async () => {
    const { credentials, upstream, asked } = fixture();
    upstream.answer = undefined;
    expect([await credentials.authenticate(token), await credentials.authenticate('nonsense')]).toEqual([
      undefined,
      undefined,
    ]);
    expect(asked).toHaveLength(1);
  });

  it('covers no tenant when the relay may know none of its tenants, which is not all of them', async () => {
    const { credentials } = fixture({ ...usual, allTenants: false, tenants: [] });
    const identity = await credentials.authenticate(token);
    expect([identity?.tenants === null, identity?.tenants?.names.has('acme')]).toEqual([false, false]);
  });

  it('is asked about again after a while: a revocation takes effect', async () => {
    const { credentials, upstream, asked, clock } = fixture();
    await credentials.authenticate(token);
    upstream.answer = undefined;
    expect(await credentials.authenticate(token)).toBeDefined();
    await clock.advance(1_000);
    expect([await credentials.authenticate(token), asked.length]).toEqual([undefined, 2]);
  });

  it('is good while the upstream is away if it was before, and no longer than it is valid', async () => {
    const { credentials, upstream, clock } = fixture({ ...usual, expiresAt: timestampFromMs(60_000) });
    await credentials.authenticate(token);
    await credentials.authenticateCertificate(certificate);
    upstream.answer = outage;
    await clock.advance(10_000);
    expect(await credentials.authenticate(token)).toMatchObject({ tokenId: id });
    expect(await credentials.authenticateCertificate(certificate)).toMatchObject({ tokenId: id, node: 'node-1' });
    await expect(credentials.authenticateCertificate({ ...certificate, serial: 'cd' })).rejects.toThrow(
      'cannot be asked',
    );
    await clock.advance(60_000);
    expect(await credentials.authenticate(token)).toBeUndefined();
  });

  it('is not good any more after the upstream has said so, whatever happens then', async () => {
    const { credentials, upstream, clock } = fixture();
    await credentials.authenticate(token);
    upstream.answer = undefined;
    await clock.advance(1_000);
    await credentials.authenticate(token);
    upstream.answer = outage;
    await clock.advance(1_000);
    await expect(credentials.authenticate(token)).rejects.toThrow('cannot be asked');
  });
});
