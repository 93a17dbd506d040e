import { fromBinary } from '@bufbuild/protobuf';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
} from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';

/** A delta request. */
export type DeltaRequest = DeltaDiscoveryRequest & {
  /** What `initial_resource_versions` says, where that was read apart: then the field is empty. */
  readonly heldVersions?: ReadonlyMap<string, string>;
};

/** Tags of `initial_resource_versions` = 5 of a `DeltaDiscoveryRequest`, and of key and value of its entries. */
const entryTag = 0x2a;
const keyTag = 0x0a;
const valueTag = 0x12;
const lengthDelimited = 2;
const asciiEnd = 0x80;

/**
 * Reads a delta request as the whole decoder does, but the versions that a client holds at once into a map: a fleet that
 * comes back says hundreds of them a node. What is written in another way than usual is left to the decoder.
 * @throws Error when the bytes are no such request.
 */
export function readDeltaRequest(bytes: Buffer): DeltaRequest {
  const heldVersions = new Map<string, string>();
  const rest: Buffer[] = [];
  const reader = new FieldReader(bytes);
  while (reader.at < bytes.length) {
    const start = reader.at;
    const tag = bytes[start] ?? 0;
    const field = reader.field(tag);
    if (!field || (tag & 7) !== lengthDelimited) return fromBinary(DeltaDiscoveryRequestSchema, bytes);
    if (tag !== entryTag) rest.push(bytes.subarray(start, reader.at));
    else if (!readEntry(field, heldVersions)) return fromBinary(DeltaDiscoveryRequestSchema, bytes);
  }
  if (heldVersions.size === 0) return fromBinary(DeltaDiscoveryRequestSchema, bytes);
  return Object.assign(fromBinary(DeltaDiscoveryRequestSchema, Buffer.concat(rest)), { heldVersions });
}

function readEntry(entry: Buffer, into: Map<string, string>): boolean {
  const reader = new FieldReader(entry);
  const key = reader.field(keyTag);
  const value = reader.field(valueTag);
  if (!key || !value || reader.at !== entry.length || !isAscii(key) || !isAscii(value)) return false;
  into.set(key.toString('latin1'), value.toString('latin1'));
  return true;
}

function isAscii(bytes: Buffer): boolean {
  for (let i = 0; i < bytes.length; i += 1) if ((bytes[i] ?? asciiEnd) >= asciiEnd) return false;
  return true;
}

/** Reads length-delimited fields one after the other. */
class FieldReader {
  at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Content of the next field; undefined when it has another tag, or is not written in full or as short as can be. */
  field(tag: number): Buffer | undefined {
    if (this.#bytes[this.at] !== tag || tag >= asciiEnd) return undefined;
    let length = 0;
    let at = this.at + 1;
    for (let shift = 0; ; shift += 7) {
      const byte = this.#bytes[at++];
      if (byte === undefined || shift > 21) return undefined;
      length |= (byte & 127) << shift;
      if (byte < asciiEnd) break;
    }
    if (at + length > this.#bytes.length) return undefined;
    this.at = at + length;
    return this.#bytes.subarray(at, this.at);
  }
}
