import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { DeltaDiscoveryResponseSchema } from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeEntry, renameEntry, ResponseEncoder, splitDelta } from './encoded-response.ts';

function entry(name: string, bytes = 4) {
  return encodeEntry({ name, version: 'v1', typeUrl: 'test/Leaf', body: new Uint8Array(bytes).fill(7) }, 1n);
}

describe('encoded responses', () => {
  it('put encoded resources together to one message', () => {
    const delta = { updated: [entry('a'), entry('b')], removed: ['c'] };
    const { nonce, bytes } = new ResponseEncoder(10_000).encode('test/Leaf', delta);
    expect(fromBinary(DeltaDiscoveryResponseSchema, new Uint8Array(bytes))).toMatchObject({
      typeUrl: 'test/Leaf',
      nonce,
      resources: [
        { name: 'a', version: 'v1', resource: { typeUrl: 'test/Leaf', value: new Uint8Array([7, 7, 7, 7]) } },
        { name: 'b' },
      ],
      removedResources: ['c'],
    });
  });

  it('are encoded once for all streams that get the same delta', () => {
    const encoder = new ResponseEncoder(10_000);
    const delta = { updated: [entry('a')], removed: [] };
    expect(encoder.encode('test/Leaf', delta).bytes).toBe(encoder.encode('test/Leaf', delta).bytes);
    expect(encoder.encode('test/Leaf', { ...delta }).nonce).not.toBe(encoder.encode('test/Leaf', delta).nonce);
  });

  it('have the bytes that the library would write, whatever is in a resource', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 200 });
    const resource = fc.record({
      name: text,
      version: text,
      typeUrl: text,
      body: fc.uint8Array({ maxLength: 40_000, size: 'max' }),
    });
    fc.assert(
      fc.property(resource, ({ name, version, typeUrl, body }) => {
        const message = { resources: [{ name, version, resource: { typeUrl, value: body } }] };
        const expected = toBinary(DeltaDiscoveryResponseSchema, create(DeltaDiscoveryResponseSchema, message));
        const { encoded } = encodeEntry({ name, version, typeUrl, body }, 1n);
        expect(encoded.equals(expected)).toBe(true);
      }),
    );
  });

  it('are Buffers, since grpc-js never sends anything else', () => {
    expect(entry('a').encoded).toBeInstanceOf(Buffer);
    expect(new ResponseEncoder(10_000).encode('t', { updated: [], removed: [] }).bytes).toBeInstanceOf(Buffer);
  });

  it('carry the name that a client asked for', () => {
    const renamed = renameEntry(entry('a'), 'b');
    const response = fromBinary(DeltaDiscoveryResponseSchema, renamed.encoded);
    expect(response.resources).toMatchObject([{ name: 'b', version: 'v1', resource: { typeUrl: 'test/Leaf' } }]);
  });

  it('are split below the limit without loss, removals last, for any delta', () => {
    const delta = fc.record({
      updated: fc.array(
        fc.nat(600).map((bytes) => entry('n', bytes)),
        { maxLength: 30 },
      ),
      removed: fc.array(fc.string({ maxLength: 200 }), { maxLength: 30 }),
    });
    fc.assert(
      fc.property(delta, (whole) => {
        const encoder = new ResponseEncoder(2_000);
        const parts = encoder.split(whole);
        expect(parts.flatMap(({ updated }) => updated)).toEqual(whole.updated);
        expect(parts.flatMap(({ removed }) => removed)).toEqual(whole.removed);
        const lastUpdate = parts.findLastIndex(({ updated }) => updated.length > 0);
        expect(parts.slice(0, Math.max(0, lastUpdate)).flatMap(({ removed }) => removed)).toEqual([]);
        for (const part of parts) expect(encoder.encode('test/Leaf', part).bytes.length).toBeLessThan(2_000);
      }),
    );
  });

  it('send a resource above the limit alone', () => {
    const parts = splitDelta({ updated: [entry('a'), entry('b', 5_000), entry('c')], removed: [] }, 2_000);
    expect(parts.map(({ updated }) => updated.map(({ name }) => name))).toEqual([['a'], ['b'], ['c']]);
  });
});
