import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { DeltaDiscoveryRequestSchema } from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { readDeltaRequest } from './held-versions.ts';

const encoded = (init: Parameters<typeof create<typeof DeltaDiscoveryRequestSchema>>[1]) =>
  Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, init)));

/** The request as the whole decoder reads it; undefined when it cannot be read. */
function read(bytes: Buffer, decode: (bytes: Buffer) => object) {
  try {
    const { heldVersions, ...message } = decode(bytes) as ReturnType<typeof readDeltaRequest>;
    const initialResourceVersions = { ...message.initialResourceVersions, ...Object.fromEntries(heldVersions ?? []) };
    return { ...message, initialResourceVersions };
  } catch {
    return undefined;
  }
}
const whole = (bytes: Buffer) => fromBinary(DeltaDiscoveryRequestSchema, bytes);

describe('readDeltaRequest', () => {
  it('reads what a client holds into a map', () => {
    const versions = { [`xdstp://a/b/c/${'n'.repeat(200)}`]: '1', b: '2' };
    const request = readDeltaRequest(
      encoded({ node: { id: 'n' }, typeUrl: 't', resourceNamesSubscribe: ['*'], initialResourceVersions: versions }),
    );
    expect(request.heldVersions).toEqual(new Map(Object.entries(versions)));
    expect(request).toMatchObject({ node: { id: 'n' }, typeUrl: 't', resourceNamesSubscribe: ['*'] });
    expect(request.initialResourceVersions).toEqual({});
  });

  it('leaves names to the whole decoder that are not plain text', () => {
    const request = readDeltaRequest(encoded({ typeUrl: 't', initialResourceVersions: { ü: '1', b: '2' } }));
    expect(request).toMatchObject({ initialResourceVersions: { ü: '1', b: '2' } });
    expect(request.heldVersions).toBeUndefined();
  });

  it('reads of any bytes what the whole decoder reads', () => {
    const valid = fc
      .record({
        typeUrl: fc.string(),
        resourceNamesSubscribe: fc.array(fc.string(), { maxLength: 3 }),
        initialResourceVersions: fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true }),
        responseNonce: fc.string(),
      })
      .map(encoded);
    const broken = fc.tuple(valid, fc.nat(), fc.nat(255)).map(([bytes, at, value]) => {
      if (bytes.length > 0) bytes[at % bytes.length] = value;
      return bytes;
    });
    const noise = fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.oneof(valid, broken, noise), (bytes) => {
        expect(read(bytes, readDeltaRequest)).toEqual(read(bytes, whole));
      }),
    );
  });
});
