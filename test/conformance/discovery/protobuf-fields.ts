/** Fields of protobuf messages by number, for foreign messages of which a test needs only a few. */
export function bytesField(number: number, value: Uint8Array | string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
}

export function numberField(number: number, value: number): Buffer {
  return Buffer.concat([varint(number * 8), varint(value)]);
}

/** A message made of fields, as a field of another. */
export function messageField(number: number, ...fields: readonly Uint8Array[]): Buffer {
  return bytesField(number, Buffer.concat(fields));
}

/** `google.protobuf.Any` as a field. */
export function anyField(number: number, typeUrl: string, ...fields: readonly Uint8Array[]): Buffer {
  return messageField(number, bytesField(1, typeUrl), messageField(2, ...fields));
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest = Math.floor(rest / 128);
  }
  return Buffer.from([...bytes, rest]);
}
