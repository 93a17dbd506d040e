import { create, equals, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
} from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { readAcknowledgement } from './acknowledgement.ts';

const encoded = (init: Parameters<typeof create<typeof DeltaDiscoveryRequestSchema>>[1]) =>
  Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, init)));

describe('readAcknowledgement', () => {
  it('reads what a client says that takes a response', () => {
    const bytes = encoded({ typeUrl: 'type.googleapis.com/a.B', responseNonce: '17' });
    expect(readAcknowledgement(bytes)).toEqual(fromBinary(DeltaDiscoveryRequestSchema, bytes));
  });

  it('leaves what says more to the whole decoder', () => {
    const said = { typeUrl: 't', responseNonce: '1' };
    expect(readAcknowledgement(encoded({ ...said, errorDetail: { code: 0, message: '' } }))).toBeUndefined();
    expect(readAcknowledgement(encoded({ ...said, node: { id: 'n' } }))).toBeUndefined();
    expect(readAcknowledgement(encoded({ ...said, resourceNamesSubscribe: ['a'] }))).toBeUndefined();
    expect(readAcknowledgement(encoded({ typeUrl: 't' }))).toBeUndefined();
    expect(readAcknowledgement(encoded({ ...said, typeUrl: 'ü' }))).toBeUndefined();
    expect(readAcknowledgement(encoded({ ...said, typeUrl: 't'.repeat(128) }))).toBeUndefined();
  });

  it('reads of any bytes what the whole decoder reads, or nothing', () => {
    const valid = fc.record({ typeUrl: fc.string(), responseNonce: fc.string() }).map(encoded);
    const any = fc.oneof(
      valid,
      fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    );
    fc.assert(
      fc.property(any, (bytes) => {
        const read = readAcknowledgement(bytes);
        const isSame = (whole: () => DeltaDiscoveryRequest) =>
          !read || equals(DeltaDiscoveryRequestSchema, read, whole());
        expect(isSame(() => fromBinary(DeltaDiscoveryRequestSchema, bytes))).toBe(true);
      }),
    );
  });
});
