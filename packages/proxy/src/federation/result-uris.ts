import { arrayElements, memberValue, stringValue } from '../json/members.ts';
import type { Span } from '../json/message.ts';
import { type PieceRewriter, type Place, StringRewriter } from '../json/string-rewriter.ts';
import type { Edit } from '../mcp/splice.ts';

/** A member's URI → how it is presented. */
export type Wrap = (uri: string) => string;

/** Whether bytes may hold a URI of the places below: a quick look that spares results without one the reading. */
export function mayHoldUris(bytes: Buffer): boolean {
  return bytes.indexOf(uriEnding) >= 0;
}

/**
 * Edits that wrap every URI by which a result refers to a resource of its server: contents that were read, embedded
 * resources, links, and the user interface of an App. Texts and structured content are nobody's business.
 *
 * @param result of `tools/call`, `prompts/get` or `resources/read`, in bytes that have passed `scanBody`.
 */
function resultUriEdits(bytes: Buffer, result: Span, wrap: Wrap): Edit[] {
  const edits: Edit[] = [];
  for (const content of elementsOf(bytes, result, 'contents')) edits.push(...uriEdit(bytes, content, 'uri', wrap));
  edits.push(...contentEdits(bytes, result, wrap));
  for (const message of elementsOf(bytes, result, 'messages')) edits.push(...contentEdits(bytes, message, wrap));
  edits.push(...uiEdits(bytes, result, wrap));
  return edits;
}

/** Edits that wrap the URIs of a whole answer, result or error, in bytes that have passed `scanBody`. */
export function answerUriEdits(bytes: Buffer, { result, error }: AnswerSpans, wrap: Wrap): Edit[] {
  if (result) return resultUriEdits(bytes, result, wrap);
  return error ? errorUriEdits(bytes, error, wrap) : [];
}

/** Wraps the same URIs in an answer that passes in pieces, unread: those of a result, or of an error. */
export function answerUriRewriter(wrap: Wrap): PieceRewriter {
  return new StringRewriter(answerPlaces, wrap);
}

interface AnswerSpans {
  readonly result: Span | undefined;
  readonly error: Span | undefined;
}

/** The edit that wraps `data.uri` of an error, where it names a resource that was not found. */
function errorUriEdits(bytes: Buffer, error: Span, wrap: Wrap): Edit[] {
  const data = memberValue(bytes, error, 'data');
  return data ? uriEdit(bytes, data, 'uri', wrap) : [];
}

/** The edit that wraps one member of an object, if it is a string. */
function uriEdit(bytes: Buffer, object: Span, key: string, wrap: Wrap): Edit[] {
  const span = memberValue(bytes, object, key);
  const uri = span && stringValue(bytes, span);
  return span === undefined || uri === undefined ? [] : [{ ...span, text: JSON.stringify(wrap(uri)) }];
}

/** Edits of `_meta.ui.resourceUri`, and of its older form, in a result or a tool (MCP Apps). */
export function uiEdits(bytes: Buffer, object: Span, wrap: Wrap): Edit[] {
  const meta = memberValue(bytes, object, '_meta');
  if (!meta) return [];
  const ui = memberValue(bytes, meta, 'ui');
  return [...(ui ? uriEdit(bytes, ui, 'resourceUri', wrap) : []), ...uriEdit(bytes, meta, 'ui/resourceUri', wrap)];
}

/** What the keys `uri` and `resourceUri` end in. */
const uriEnding = Buffer.from('ri"');

/** Blocks of `content`, which is a list in results and one block in messages of prompts. */
function contentEdits(bytes: Buffer, holder: Span, wrap: Wrap): Edit[] {
  const content = memberValue(bytes, holder, 'content');
  if (!content) return [];
  const elements = arrayElements(bytes, content);
  return (elements.length > 0 ? elements : [content]).flatMap((block) => {
    const resource = memberValue(bytes, block, 'resource');
    return [...uriEdit(bytes, block, 'uri', wrap), ...(resource ? uriEdit(bytes, resource, 'uri', wrap) : [])];
  });
}

function elementsOf(bytes: Buffer, object: Span, key: string): Span[] {
  const list = memberValue(bytes, object, key);
  return list ? arrayElements(bytes, list) : [];
}

const uriPlace: Place = { isWanted: true };
const withUri = new Map([['uri', uriPlace]]);
const blockPlace: Place = { members: new Map([...withUri, ['resource', { members: withUri }]]) };
const contentPlace: Place = { ...blockPlace, elements: blockPlace };
const metaPlace: Place = {
  members: new Map<string, Place>([
    ['ui', { members: new Map([['resourceUri', uriPlace]]) }],
    ['ui/resourceUri', uriPlace],
  ]),
};

/** The places that the functions above look at. */
const answerPlaces: Place = {
  members: new Map<string, Place>([
    [
      'result',
      {
        members: new Map<string, Place>([
          ['contents', { elements: { members: withUri } }],
          ['content', contentPlace],
          ['messages', { elements: { members: new Map([['content', contentPlace]]) } }],
          ['_meta', metaPlace],
        ]),
      },
    ],
    ['error', { members: new Map([['data', { members: withUri }]]) }],
  ]),
};
