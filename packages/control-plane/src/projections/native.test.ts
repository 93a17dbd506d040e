import { fromBinary } from '@bufbuild/protobuf';
import { digestOf, kinds, makeSnapshot, setHash, typeUrlOf } from '@signalbox/config';
import { DeltaDiscoveryResponseSchema } from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import { ManifestSchema } from '@signalbox/proto/signalbox/config/v1/manifest_pb.ts';
import type { ResourceEntry } from '@signalbox/xds';
import { describe, expect, it } from 'vitest';
import { storedText } from '../testing/memory-feed.ts';
import { nativeFamily, projectSnapshot } from './native.ts';

const resources = [storedText('Route', 'r', 'route'), storedText('Backend', 'b', 'backend')];
const snapshot = makeSnapshot('acme', 7n, resources);

/** The resource on the wire. */
function decode(entry: ResourceEntry | undefined) {
  const { resources: decoded } = fromBinary(DeltaDiscoveryResponseSchema, entry?.encoded ?? Buffer.alloc(0));
  return decoded[0];
}

describe('the native projection', () => {
  it('sends kinds in dependency order and the Manifest last, which alone closes a round', () => {
    const urls = nativeFamily.types.map(({ typeUrl }) => typeUrl);
    expect(urls).toEqual([...kinds.map((kind) => typeUrlOf(kind)), typeUrlOf('Manifest')]);
    expect(nativeFamily.types.filter(({ closesRound }) => closesRound)).toEqual([nativeFamily.types.at(-1)]);
  });

  it('sends a resource as it is stored, under its scoped name, with its digest as version', () => {
    const [entry] = projectSnapshot(snapshot, 5n).get(typeUrlOf('Route')) ?? [];
    expect(decode(entry)).toMatchObject({
      name: 'xdstp://signalbox/signalbox.config.v1.Route/acme/r',
      version: digestOf(Buffer.from('route')),
      resource: { typeUrl: 'type.googleapis.com/signalbox.config.v1.Route' },
    });
    expect(Buffer.from(decode(entry)?.resource?.value ?? []).toString()).toBe('route');
  });

  it('closes a revision with the hash of the set', () => {
    const [entry] = projectSnapshot(snapshot, 5n).get(typeUrlOf('Manifest')) ?? [];
    const wire = decode(entry);
    expect(wire?.name).toBe('xdstp://signalbox/signalbox.config.v1.Manifest/acme/current');
    expect(fromBinary(ManifestSchema, wire?.resource?.value ?? Buffer.alloc(0))).toMatchObject({
      scope: 'acme',
      revision: 7n,
      hash: setHash(resources),
      resourceCount: 2,
      removalsConfirmed: 5n,
    });
  });

  it('gives the same bytes for the same snapshot, in whatever order it was made [53]', () => {
    const other = makeSnapshot('acme', 7n, resources.toReversed());
    const bytes = (of: typeof snapshot) =>
      [...projectSnapshot(of, 5n)].map(([typeUrl, entries]) => [
        typeUrl,
        ...entries.map(({ encoded }) => encoded.toString('hex')),
      ]);
    expect(bytes(other)).toEqual(bytes(snapshot));
  });
});
