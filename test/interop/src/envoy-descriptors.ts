import { readFile } from 'node:fs/promises';

import { fromBinary } from '@bufbuild/protobuf';
import { type FileDescriptorProto, FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';

/**
 * The descriptors of `.proto` files as an Envoy binary carries them: what it itself says about names and numbers.
 * A file that is not found is left out.
 */
export async function readDescriptors(
  binary: string,
  files: readonly string[],
): Promise<ReadonlyMap<string, FileDescriptorProto>> {
  const bytes = await readFile(binary);
  const found = new Map<string, FileDescriptorProto>();
  for (const file of files) {
    const descriptor = findDescriptor(bytes, file);
    if (descriptor) found.set(file, descriptor);
  }
  return found;
}

/** A serialised file descriptor begins with its name: field 1, length, text. */
function findDescriptor(bytes: Buffer, file: string): FileDescriptorProto | undefined {
  const start = Buffer.from([0x0a, file.length, ...Buffer.from(file)]);
  for (let at = bytes.indexOf(start); at >= 0; at = bytes.indexOf(start, at + 1)) {
    const end = endOfFields(bytes, at);
    try {
      const descriptor = fromBinary(FileDescriptorProtoSchema, bytes.subarray(at, end));
      if (descriptor.messageType.length > 0) return descriptor;
    } catch {
      // The name stood there for another reason.
    }
  }
  return undefined;
}

/** Where the fields of a file descriptor stop, which has fields 1 to 14 and nothing in them but varints and lengths. */
function endOfFields(bytes: Buffer, start: number): number {
  let at = start;
  let end = start;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = bytes[at] ?? 0;
      at += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    return value;
  };
  for (;;) {
    const tag = varint();
    const [field, wireType] = [tag >>> 3, tag & 7];
    if (field < 1 || field > 14 || (wireType !== 0 && wireType !== 2)) return end;
    const length = varint();
    if (wireType === 2) at += length;
    if (at > bytes.length) return end;
    end = at;
  }
}
