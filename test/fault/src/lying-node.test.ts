import { fromBinary, type MessageInitShape, create, toBinary } from '@bufbuild/protobuf';
import { Client, credentials, Metadata, type StatusObject } from '@grpc/grpc-js';
import { typeUrlOf } from '@signalbox/config';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import { Role } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { type LegacyMcpServer, startLegacyMcpServer, startSystem, type System, until } from '@signalbox/test-harness';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';

import { applied, served, untilApplied } from './routes.ts';
import { SimulatedNode } from './simulated-node.ts';
import { changing } from './writer.ts';

describe('a node lies', () => {
  let upstream: LegacyMcpServer;
  let system: System;
  let stops: (() => unknown)[] = [];

  beforeEach(async () => {
    upstream = await startLegacyMcpServer();
    system = await startSystem({ pgUrl: inject('pgUrl') });
    await system.apply([...served(upstream.url), ...served(upstream.url, 'globex').slice(1)]);
  });
  afterEach(async () => {
    for (const stop of stops) await stop();
    stops = [];
    await system.stop();
    await upstream.stop();
  });

  const token = async (tenants: readonly string[], gateway = 'default') => {
    const request = { name: 'liar', role: Role.NODE, gateway, tenants: [...tenants] };
    return (await system.admin.tokens.createToken(request)).secret;
  };
  const node = (options: { token: string; id: string; gateway?: string }) => {
    const started = new SimulatedNode({ system, ...options }).start();
    stops.push(() => started.stop());
    return started;
  };

  it('about its gateway: it is turned away before it hears a name', async () => {
    const liar = node({ token: await token([], 'default'), id: 'liar', gateway: 'other' });
    await until('it to be turned away twice', () =>
      liar.connections.filter((each) => /disconnected: .*gateway/.test(each)).length >= 2 ? true : undefined,
    );
    expect(liar.names).toEqual([]);
    expect((await system.nodes()).map(({ id }) => id)).toEqual(['node-0']);
  });

  it('about its name: it takes nobody’s place, and hears of no tenant that is not its credential’s', async () => {
    const before = await applied(system, 'node-0');
    const liar = node({ token: await token(['globex']), id: 'node-0' });
    await until('it to be served', () => (liar.names.some((name) => name.includes('/globex/')) ? true : undefined));
    const { revision } = await system.admin.config.apply({ scope: 'acme', resources: [changing('acme', 'seen')] });
    await until('the true one to have it', async () => {
      const named = (await system.nodes()).filter(({ id }) => id === 'node-0');
      const revisions = named.flatMap(({ scopes }) => scopes.filter(({ scope }) => scope === 'acme'));
      return named.length === 2 && revisions.length === 1 && (revisions[0]?.appliedRevision ?? 0n) >= revision
        ? true
        : undefined;
    });
    expect(revision).toBeGreaterThan(before);
    expect(liar.names.filter((name) => name.includes('/acme/'))).toEqual([]);
  });

  it('about its name in the middle of a stream: the stream is ended, and the name has nobody', async () => {
    const { request, ended } = raw(system, await token([]));
    stops.push(() => request.cancel());
    request.send({ node: { id: 'honest', cluster: 'default' }, typeUrl: typeUrlOf('Backend') });
    await until('it to be known', async () =>
      (await system.nodes()).some(({ id }) => id === 'honest') ? true : undefined,
    );
    request.send({ node: { id: 'node-0', cluster: 'default' }, typeUrl: typeUrlOf('Route') });
    expect((await ended).code).toBe(invalidArgument);
    expect((await system.nodes()).filter(({ id }) => id === 'node-0')).toHaveLength(1);
  });

  it('about what it runs: an acknowledgement of nothing that it was sent counts for nothing', async () => {
    const { request } = raw(system, await token([]));
    stops.push(() => request.cancel());
    const manifest = typeUrlOf('Manifest');
    request.send({ node: { id: 'boaster', cluster: 'default' }, typeUrl: typeUrlOf('Backend') });
    request.send({ typeUrl: manifest });
    const { revision } = await system.admin.config.apply({ scope: 'acme', resources: [changing('acme', 'claimed')] });
    for (let nonce = 1; nonce < 200; nonce += 1) request.send({ typeUrl: manifest, responseNonce: `no-${nonce}` });
    await untilApplied(system, 'node-0', revision);
    expect(await applied(system, 'boaster')).toBe(0n);
  });
});

const invalidArgument = 3;
const path = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';

/** A stream of exactly the messages that a test sends; nothing is acknowledged. */
function raw(system: System, token: string) {
  const client = new Client(system.discoveryAddress, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  const call = client.makeBidiStreamRequest(
    path,
    (message: MessageInitShape<typeof DeltaDiscoveryRequestSchema>) =>
      Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, message))),
    (bytes) => fromBinary(DeltaDiscoveryResponseSchema, bytes),
    metadata,
  );
  call.on('data', () => undefined);
  call.on('error', () => undefined);
  const ended = new Promise<StatusObject>((resolve) => {
    call.on('status', (status: StatusObject) => {
      client.close();
      resolve(status);
    });
  });
  return { request: { send: call.write.bind(call), cancel: () => call.cancel() }, ended };
}
