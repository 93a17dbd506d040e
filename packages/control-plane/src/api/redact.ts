import type { JsonValue } from '@bufbuild/protobuf';

const redacted = '[redacted]';

/**
 * Members that hold what proves an identity, in resources of any family: hashes of keys, and key sets given inline, which
 * may be secret ones.
 */
const secretMembers: ReadonlySet<string> = new Set(['inline', 'keyHash', 'localJwks', 'sha256']);

/** A resource as it may be shown: without secrets, and without queries of URLs, which often are some. */
export function redact(value: JsonValue): JsonValue {
  if (typeof value === 'string') return value.replace(/^(https?:\/\/[^?]*)\?.*$/s, `$1?${redacted}`);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(redact);
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, secretMembers.has(name) ? redacted : redact(member)]),
  );
}
