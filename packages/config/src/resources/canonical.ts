import { clone, type DescMessage, type Message, toBinary } from '@bufbuild/protobuf';
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';

/**
 * The one encoding of a message: fields in the order of their numbers, map entries in the order of their keys. Equal
 * messages have equal bytes, so the digest of the bytes is the version of the content.
 */
export function canonicalBytes(desc: DescMessage, message: Message): Uint8Array {
  if (!hasMap(desc)) return toBinary(desc, message);
  const sorted = clone(desc, message);
  sortMaps(reflect(desc, sorted));
  return toBinary(desc, sorted);
}

/** Whether a decoded message, or one within it, carries fields that the schema of this version does not know. */
export function hasUnknownFields(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return false;
  if ('$unknown' in value && Array.isArray(value.$unknown) && value.$unknown.length > 0) return true;
  return Object.values(value).some(hasUnknownFields);
}

function hasMap(desc: DescMessage): boolean {
  return desc.fields.some(
    (field) => field.fieldKind === 'map' || (field.message !== undefined && hasMap(field.message)),
  );
}

function sortMaps(message: ReflectMessage): void {
  for (const field of message.fields) {
    if (!message.isSet(field)) continue;
    if (field.fieldKind === 'message') sortMaps(message.get(field));
    if (field.fieldKind !== 'map') continue;
    const map = message.get(field);
    const entries = [...map].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
    map.clear();
    for (const [key, value] of entries) map.set(key, value);
  }
}
