import { arrayElements, memberValue, stringValue } from '../json/members.ts';
import type { Span } from '../json/message.ts';
import { legacyCodec } from './codec/rev2025-11-25.ts';
import { modernCodec } from './codec/rev2026-07-28.ts';
import { type Edit, withoutMember } from './splice.ts';

/**
 * Edits that take out of the result of `initialize` or `server/discover` what the gateway does not carry, so that no
 * client is promised a method that will be refused: lists of tasks, and revisions that the gateway does not know.
 *
 * @param result the `result` member, in bytes that have passed `scanBody`.
 */
export function capabilityEdits(bytes: Buffer, result: Span): readonly Edit[] {
  const edits: Edit[] = [];
  const capabilities = memberValue(bytes, result, 'capabilities');
  if (capabilities) {
    const tasks = memberValue(bytes, capabilities, 'tasks');
    if (tasks) edits.push(...withoutMember(bytes, tasks, 'list'));
  }
  const versions = memberValue(bytes, result, 'supportedVersions');
  if (versions) edits.push({ ...versions, text: JSON.stringify(knownVersions(bytes, versions)) });
  return edits.toSorted((a, b) => a.start - b.start);
}

function knownVersions(bytes: Buffer, versions: Span): readonly string[] {
  const named = arrayElements(bytes, versions).map((element) => stringValue(bytes, element));
  return [...modernCodec.versions, ...legacyCodec.versions].filter((version) => named.includes(version));
}
