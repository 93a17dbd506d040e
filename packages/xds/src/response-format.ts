import { createHash } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import {
  DeltaDiscoveryResponseSchema,
  DiscoveryResponseSchema,
} from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import type { ResourceDelta, ResourceEntry } from './family.ts';

/** What a response is made of, in the variant that a stream speaks. */
export interface ResponseFormat {
  /** A resource as a field of the response. */
  resource(entry: ResourceEntry): Buffer;
  /** All other fields. */
  envelope(
    typeUrl: string,
    nonce: string,
    part: ResourceDelta,
  ): { readonly version: string; readonly bytes: Uint8Array };
}

/** `DeltaDiscoveryResponse`. */
export const deltaFormat: ResponseFormat = {
  resource: (entry) => entry.encoded,
  envelope(typeUrl, nonce, { removed }) {
    const envelope = create(DeltaDiscoveryResponseSchema, { typeUrl, nonce, removedResources: [...removed] });
    return { version: '', bytes: toBinary(DeltaDiscoveryResponseSchema, envelope) };
  },
};

/** `DeltaDiscoveryResponse` for clients that support times to live. */
export const leasedDeltaFormat: ResponseFormat = {
  ...deltaFormat,
  resource: (entry) => entry.lease?.encoded ?? entry.encoded,
};

/** `DiscoveryResponse`. Its version follows from its content alone, so that it is the same on every replica. */
export const stateFormat: ResponseFormat = {
  resource: ({ encoded }) => innerResource(encoded),
  envelope(typeUrl, nonce, { updated }) {
    const versionInfo = stateVersion(updated);
    const envelope = create(DiscoveryResponseSchema, { typeUrl, nonce, versionInfo });
    return { version: versionInfo, bytes: toBinary(DiscoveryResponseSchema, envelope) };
  },
};

/** `DiscoveryResponse` for clients that support times to live and take leased resources in an envelope. */
export const leasedStateFormat: ResponseFormat = {
  ...stateFormat,
  resource: ({ encoded, lease }) => (lease ? envelopeOf(lease.encoded) : innerResource(encoded)),
};

/** The envelope of a resource, as an `Any` in a `DiscoveryResponse`. */
function envelopeOf(encoded: Buffer): Buffer {
  const value = encoded.subarray(fieldStart(encoded, 0));
  const resources = [{ typeUrl: envelopeType, value }];
  return Buffer.from(toBinary(DiscoveryResponseSchema, create(DiscoveryResponseSchema, { resources })));
}

const envelopeType = 'type.googleapis.com/envoy.service.discovery.v3.Resource';
const versionDigits = 32;

function stateVersion(entries: readonly ResourceEntry[]): string {
  const hash = createHash('sha256');
  const lines = entries.map(({ name, version }) => JSON.stringify([name, version])).sort();
  for (const line of lines) hash.update(line).update('\n');
  return hash.digest('hex').slice(0, versionDigits);
}

/** Tag of field 2, length-delimited. */
const field2 = 0x12;

/**
 * The `Any` in an encoded resource, with its tag. It is field 2 of `Resource` as it is of `DiscoveryResponse`: so these
 * bytes stand in both, and nothing is encoded or copied.
 */
function innerResource(encoded: Buffer): Buffer {
  // The resource itself is field 2 of the delta response.
  let at = fieldStart(encoded, 0);
  while (at < encoded.length) {
    const body = fieldStart(encoded, at);
    const end = body + readLength(encoded, at + 1);
    if (encoded[at] === field2) return encoded.subarray(at, end);
    at = end;
  }
  return Buffer.alloc(0);
}

/** Where the content of a length-delimited field begins. */
function fieldStart(bytes: Buffer, at: number): number {
  let next = at + 1;
  while (((bytes[next] ?? 0) & 0x80) !== 0) next += 1;
  return next + 1;
}

/** A base-128 number of at most five bytes: the length of a field. */
function readLength(bytes: Buffer, at: number): number {
  let length = 0;
  for (let i = 0; i < 5; i += 1) {
    const byte = bytes[at + i] ?? 0;
    length += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) break;
  }
  return length;
}
