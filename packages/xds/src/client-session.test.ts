import { create } from '@bufbuild/protobuf';
import { DeltaDiscoveryResponseSchema } from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import { describe, expect, it } from 'vitest';
import { type ClientEffect, type ClientEvent, newClientSession, stepClient } from './client-session.ts';

const node = { id: 'node-1', cluster: 'edge', userAgentName: 'test', userAgentVersion: '1', metadata: { zone: 'a' } };

/** Steps through events. @returns the effects of each. */
function run(...events: readonly ClientEvent[]): readonly (readonly ClientEffect[])[] {
  let session = newClientSession(['t/A', 't/B']);
  return events.map((event) => {
    const step = stepClient(session, event);
    session = step.session;
    return step.effects;
  });
}

interface Given {
  readonly nonce?: string;
  readonly resources?: readonly { readonly name: string; readonly typeUrl?: string }[];
  readonly removed?: readonly string[];
}

function response(typeUrl: string, { nonce = 'n', resources = [], removed = [] }: Given = {}): ClientEvent {
  return {
    kind: 'response',
    response: create(DeltaDiscoveryResponseSchema, {
      typeUrl,
      nonce,
      resources: resources.map((resource) => ({
        name: resource.name,
        version: '1',
        resource: { typeUrl: resource.typeUrl ?? typeUrl, value: new Uint8Array([1]) },
      })),
      removedResources: [...removed],
    }),
  };
}

const nothingHeld = () => new Map<string, string>();

const fine: ClientEvent = { kind: 'handled', faults: [] };

describe('the client session', () => {
  it('opens with a request a type, with what it holds, and names the node once', () => {
    const held = (typeUrl: string) => new Map(typeUrl === 't/A' ? [['a', '7']] : []);
    const [effects] = run({ kind: 'opened', node, held, names: () => ['*'] });
    expect(effects).toMatchObject([
      {
        kind: 'send',
        request: {
          typeUrl: 't/A',
          resourceNamesSubscribe: ['*'],
          initialResourceVersions: { a: '7' },
          responseNonce: '',
          node: { id: 'node-1', cluster: 'edge', userAgentName: 'test', metadata: { zone: 'a' } },
        },
      },
      { kind: 'send', request: { typeUrl: 't/B', initialResourceVersions: {} } },
    ]);
    expect(effects?.[1]).not.toHaveProperty('request.node');
  });

  it('opens with the names that are wanted; wanting nothing is no wildcard', () => {
    const names = (typeUrl: string) => (typeUrl === 't/A' ? ['x', 'y'] : []);
    const [effects] = run({ kind: 'opened', node, held: nothingHeld, names });
    expect(effects).toMatchObject([
      { request: { typeUrl: 't/A', resourceNamesSubscribe: ['x', 'y'], resourceNamesUnsubscribe: [] } },
      { request: { typeUrl: 't/B', resourceNamesSubscribe: ['*'], resourceNamesUnsubscribe: ['*'] } },
    ]);
  });

  it('asks for other names later, in a request that answers nothing', () => {
    const change = { typeUrl: 't/A', subscribe: ['z'], unsubscribe: ['x'] };
    const [effects] = run({ kind: 'resubscribe', change });
    expect(effects).toMatchObject([
      {
        request: { typeUrl: 't/A', resourceNamesSubscribe: ['z'], resourceNamesUnsubscribe: ['x'], responseNonce: '' },
      },
    ]);
  });

  it('delivers a response and acknowledges it by its nonce', () => {
    const [delivered, answered] = run(
      response('t/A', { nonce: '5', resources: [{ name: 'a' }], removed: ['b'] }),
      fine,
    );
    expect(delivered).toMatchObject([
      { kind: 'deliver', update: { typeUrl: 't/A', resources: [{ name: 'a', version: '1' }], removed: ['b'] } },
    ]);
    expect(answered).toMatchObject([{ kind: 'send', request: { typeUrl: 't/A', responseNonce: '5' } }]);
    expect(answered).not.toHaveProperty('0.request.errorDetail');
  });

  it('refuses with the reasons, resource by resource', () => {
    const faults = [{ name: 'a', error: 'too big' }];
    const [, answered] = run(response('t/A', { nonce: '5' }), { kind: 'handled', faults });
    expect(answered).toMatchObject([
      {
        kind: 'send',
        request: { responseNonce: '5', errorDetail: { code: 3, message: '[{"name":"a","error":"too big"}]' } },
      },
    ]);
  });

  it('hands over one response at a time, in the order of arrival', () => {
    const [first, second, third, fourth] = run(
      response('t/A', { nonce: '1' }),
      response('t/B', { nonce: '2' }),
      fine,
      fine,
    );
    expect(first?.map(({ kind }) => kind)).toEqual(['deliver']);
    expect(second).toEqual([]);
    expect(third).toMatchObject([
      { kind: 'send', request: { responseNonce: '1' } },
      { kind: 'deliver', update: { typeUrl: 't/B' } },
    ]);
    expect(fourth).toMatchObject([{ kind: 'send', request: { responseNonce: '2' } }]);
  });

  it.each([
    { fault: 'of another type', given: { resources: [{ name: 'a', typeUrl: 't/B' }] } },
    { fault: 'twice', given: { resources: [{ name: 'a' }, { name: 'a' }] } },
    { fault: 'both updated and removed', given: { resources: [{ name: 'a' }], removed: ['a'] } },
  ])('refuses by itself a response with a resource that is $fault', ({ given }) => {
    const [effects] = run(response('t/A', given));
    expect(effects).toMatchObject([{ kind: 'send', request: { responseNonce: 'n', errorDetail: { code: 3 } } }]);
  });

  it('ends a stream whose server sends what was not asked for, or before it was answered', () => {
    expect(run(response('t/C'))[0]).toMatchObject([{ kind: 'abort' }]);
    expect(run(response('t/A'), response('t/A'))[1]).toMatchObject([{ kind: 'abort' }]);
  });
});
