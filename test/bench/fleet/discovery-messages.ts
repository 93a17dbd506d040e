// The few fields of discovery messages that a simulated node looks at, read and written without a library.

/** What a delta response says, without a look at its resources. */
export interface ResponseHead {
  readonly typeUrl: string;
  readonly nonce: Buffer;
  readonly resources: readonly Buffer[];
  readonly removed: number;
}

/** `DeltaDiscoveryResponse`: resources = 2, type_url = 4, nonce = 5, removed_resources = 6. */
export function readResponse(bytes: Buffer): ResponseHead {
  const resources: Buffer[] = [];
  let typeUrl = '';
  let nonce = Buffer.alloc(0);
  let removed = 0;
  eachField(bytes, (field, content) => {
    if (field === 2) resources.push(content);
    else if (field === 4) typeUrl = content.toString('latin1');
    else if (field === 5) nonce = Buffer.from(content);
    else if (field === 6) removed += 1;
  });
  return { typeUrl, nonce, resources, removed };
}

/** `Resource`: version = 1, resource = 2 (`Any`: value = 2), name = 3. */
export function readResource(bytes: Buffer): {
  readonly name: string;
  readonly version: string;
  readonly body: Buffer;
} {
  let name = '';
  let version = '';
  let body = Buffer.alloc(0);
  eachField(bytes, (field, content) => {
    if (field === 1) version = content.toString('latin1');
    else if (field === 3) name = content.toString('utf8');
    else if (field === 2) {
      eachField(content, (inner, value) => {
        if (inner === 2) body = Buffer.from(value);
      });
    }
  });
  return { name, version, body };
}

/** `Manifest`: scope = 1, revision = 2. */
export function readManifest(bytes: Buffer): { readonly scope: string; readonly revision: number } {
  let scope = '';
  let revision = 0;
  eachField(
    bytes,
    (field, content) => {
      if (field === 1) scope = content.toString('utf8');
    },
    (field, value) => {
      if (field === 2) revision = value;
    },
  );
  return { scope, revision };
}

/**
 * The first `DeltaDiscoveryRequest` of a type: node = 1 (id = 1, cluster = 2), type_url = 2, initial_resource_versions = 5.
 */
export function firstRequest(typeUrl: string, node: string | undefined, held: Buffer): Buffer {
  const identity = node === undefined ? [] : [text(1, Buffer.concat([text(1, node), text(2, 'default')]))];
  return Buffer.concat([...identity, text(2, typeUrl), held]);
}

/** Versions that a node holds, as fields of its first request. */
export function heldVersions(versions: ReadonlyMap<string, string>): Buffer {
  return Buffer.concat(
    Array.from(versions, ([name, version]) => text(5, Buffer.concat([text(1, name), text(2, version)]))),
  );
}

/** An ACK: type_url = 2, response_nonce = 6. */
export function ackRequest(typeUrl: string, nonce: Buffer): Buffer {
  return Buffer.concat([text(2, typeUrl), text(6, nonce)]);
}

/** A length-delimited field. */
function text(field: number, value: string | Buffer): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([Buffer.from([(field << 3) | 2, ...varint(bytes.length)]), bytes]);
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
}

function eachField(
  bytes: Buffer,
  onBytes: (field: number, content: Buffer) => void,
  onNumber: (field: number, value: number) => void = () => undefined,
): void {
  let at = 0;
  const number = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at] ?? 0;
      at += 1;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = number();
    const wire = tag & 7;
    if (wire === 2) {
      const length = number();
      onBytes(tag >>> 3, bytes.subarray(at, at + length));
      at += length;
    } else if (wire === 0) onNumber(tag >>> 3, number());
    else throw new Error(`wire type ${wire} is in no message of discovery`);
  }
}
