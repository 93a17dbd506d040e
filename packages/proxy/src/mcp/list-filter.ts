import { arrayElements, memberValue, stringValue } from '../json/members.ts';
import type { Span } from '../json/message.ts';
import type { ListRule } from './codec/codec.ts';
import type { Edit } from './splice.ts';

/** What is left of a list, as edits of its bytes in order, and the names of all its entries. */
export interface FilteredList {
  readonly edits: readonly Edit[];
  readonly names: readonly string[];
}

/**
 * Takes the entries out of a list result that policy hides. What stays, stays byte for byte. An entry without a usable
 * name is hidden: nothing can be decided about it. The result becomes private to its caller, since another may see
 * another list (MCP 2026-07-28, caching).
 *
 * @param result the `result` member of the answer, in bytes that have passed `scanBody`.
 */
export function filterList(
  bytes: Buffer,
  result: Span,
  rule: ListRule,
  allowed: (name: string, element: Span) => boolean,
): FilteredList {
  const list = memberValue(bytes, result, rule.member);
  const names: string[] = [];
  const kept: Buffer[] = [];
  const elements = list ? arrayElements(bytes, list) : [];
  for (const element of elements) {
    const span = memberValue(bytes, element, rule.key);
    const name = span && stringValue(bytes, span);
    if (name === undefined) continue;
    names.push(name);
    if (allowed(name, element)) kept.push(bytes.subarray(element.start, element.end));
  }
  const edits: Edit[] = [];
  if (list && kept.length < elements.length) edits.push({ ...list, text: arrayOf(kept) });
  const scope = memberValue(bytes, result, 'cacheScope');
  if (scope) edits.push({ ...scope, text: '"private"' });
  return { edits: edits.sort((a, b) => a.start - b.start), names };
}

function arrayOf(elements: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [open];
  elements.forEach((element, i) => {
    if (i > 0) parts.push(comma);
    parts.push(element);
  });
  parts.push(close);
  return Buffer.concat(parts);
}

const open = Buffer.from('[');
const comma = Buffer.from(',');
const close = Buffer.from(']');
