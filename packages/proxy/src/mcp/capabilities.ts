import { arrayElements, memberValue, stringValue } from '../json/members.ts';
import type { Span } from '../json/message.ts';
import { legacyCodec } from './codec/rev2025-11-25.ts';
import { modernCodec } from './codec/rev2026-07-28.ts';
import { type Edit, withoutMember } from './splice.ts';

/** Extension of the modern era that the gateway does not carry: its handles would have to be sealed. */
const tasksExtension = 'io.modelcontextprotocol/tasks';

/**
 * Edits that take out of the result of `initialize` or `server/discover` what the gateway does not carry, so that no
 * client is promised a method that will be refused: tasks of both eras, and revisions that the gateway does not know.
 *
 * @param result the `result` member, in bytes that have passed `scanBody`.
 */
export function capabilityEdits(bytes: Buffer, result: Span): readonly Edit[] {
  const edits: Edit[] = [];
  const capabilities = memberValue(bytes, result, 'capabilities');
  if (capabilities) {
    edits.push(...withoutMember(bytes, capabilities, 'tasks'));
    const extensions = memberValue(bytes, capabilities, 'extensions');
    if (extensions) edits.push(...withoutMember(bytes, extensions, tasksExtension));
  }
  const versions = memberValue(bytes, result, 'supportedVersions');
  if (versions) edits.push({ ...versions, text: JSON.stringify(knownVersions(bytes, versions)) });
  return edits.toSorted((a, b) => a.start - b.start);
}

function knownVersions(bytes: Buffer, versions: Span): readonly string[] {
  const named = arrayElements(bytes, versions).map((element) => stringValue(bytes, element));
  return [...modernCodec.versions, ...legacyCodec.versions].filter((version) => named.includes(version));
}
