import { memberValue, stringValue } from '../../json/members.ts';
import type { Span } from '../../json/message.ts';
import { type Edit, withoutMembers } from '../../mcp/splice.ts';

/** Edits that give a block of content to a client of an older revision: in its words, or as a text that says what it was. */
export function reviseContent(bytes: Buffer, block: Span, version: string): readonly Edit[] {
  const text = (name: string): string | undefined => {
    const span = memberValue(bytes, block, name);
    return span && stringValue(bytes, span);
  };
  const type = text('type');
  if (type === 'resource_link' && version < '2025-06-18') {
    const said = [text('title') ?? text('name'), text('uri'), text('description')].filter((part) => part !== undefined);
    return [{ ...block, text: textBlock(`Resource: ${said.join(', ')}`) }];
  }
  if (type === 'audio' && version < '2025-03-26') {
    return [
      { ...block, text: textBlock(`Audio (${text('mimeType') ?? 'unknown type'}) that this client cannot take`) },
    ];
  }
  return type === 'resource_link' ? withoutMembers(bytes, block, new Set(['icons'])) : [];
}

function textBlock(text: string): string {
  return JSON.stringify({ type: 'text', text });
}
