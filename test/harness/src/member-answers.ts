import { legacyVersion, modernVersion } from './raw-mcp-client.ts';

/** A JSON-RPC message at a member. */
export interface MemberMessage {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
}

/** What a member has. Entries are JSON as they stand in its lists; a text stands for an entry of that name. */
export interface MemberContent {
  readonly tools?: readonly (string | object)[];
  readonly prompts?: readonly (string | object)[];
  /** URIs, or whole entries. */
  readonly resources?: readonly (string | object)[];
  readonly templates?: readonly string[];
  /** Entries of a page; all unless given. The cursor of the second page is the empty text. */
  readonly pageSize?: number;
  readonly instructions?: string;
  readonly capabilities?: Readonly<Record<string, unknown>>;
}

/** The `result` or `error` of a member's answer. */
export function answerMember(content: MemberContent, era: 'legacy' | 'modern', message: MemberMessage): object {
  const found = resultOf(content, message);
  if ('error' in found || era === 'legacy') return found;
  const isCacheable = /list$|discover$|read$/.test(message.method ?? '');
  const cache = isCacheable ? { ttlMs: 60_000, cacheScope: 'public' } : {};
  return { result: { resultType: 'complete', ...cache, ...found.result } };
}

type Answer = { readonly result: object } | { readonly error: object };

function resultOf(content: MemberContent, { method = '', params = {} }: MemberMessage): Answer {
  switch (method) {
    case 'initialize':
    case 'server/discover':
      return { result: greeting(content, method) };
    case 'tools/list':
      return { result: page(content, 'tools', (content.tools ?? []).map(toolOf), params) };
    case 'prompts/list':
      return { result: page(content, 'prompts', (content.prompts ?? []).map(nameOf), params) };
    case 'resources/list':
      return { result: page(content, 'resources', (content.resources ?? []).map(resourceOf), params) };
    case 'resources/templates/list': {
      const templates = (content.templates ?? []).map((uriTemplate) => ({ uriTemplate, name: uriTemplate }));
      return { result: page(content, 'resourceTemplates', templates, params) };
    }
    case 'tools/call':
      return { result: { content: callContent(params) } };
    case 'prompts/get':
      return { result: { messages: [{ role: 'user', content: { type: 'text', text: String(params['name']) } }] } };
    case 'resources/read':
      return read(content, String(params['uri']));
    case 'completion/complete':
      return { result: { completion: { values: [JSON.stringify(params)] } } };
    case 'logging/setLevel':
    case 'resources/subscribe':
    case 'resources/unsubscribe':
      return { result: {} };
    default:
      return { error: { code: -32601, message: 'Method not found' } };
  }
}

function greeting(content: MemberContent, method: string): object {
  const capabilities = content.capabilities ?? {
    tools: { listChanged: true },
    prompts: {},
    resources: { subscribe: true },
  };
  const said = { capabilities, ...(content.instructions === undefined ? {} : { instructions: content.instructions }) };
  if (method === 'server/discover') return { supportedVersions: [modernVersion], ...said };
  return { protocolVersion: legacyVersion, serverInfo: { name: 'member', version: '1' }, ...said };
}

function page(
  { pageSize = 1_000 }: MemberContent,
  member: string,
  entries: readonly object[],
  { cursor }: Record<string, unknown>,
): object {
  const number = cursor === undefined ? 0 : cursor === '' ? 1 : Number(cursor);
  const end = (number + 1) * pageSize;
  const next = end >= entries.length ? {} : { nextCursor: number === 0 ? '' : String(number + 1) };
  return { [member]: entries.slice(number * pageSize, end), ...next };
}

function toolOf(tool: string | object): object {
  return typeof tool === 'string' ? { name: tool, inputSchema: { type: 'object' } } : tool;
}

function nameOf(entry: string | object): object {
  return typeof entry === 'string' ? { name: entry } : entry;
}

function resourceOf(resource: string | object): object {
  return typeof resource === 'string' ? { uri: resource, name: resource } : resource;
}

function callContent({ name, arguments: args }: Record<string, unknown>): readonly object[] {
  const { text } = (args ?? {}) as { text?: string };
  if (name === 'echo') return [{ type: 'text', text: text ?? '' }];
  if (name !== 'link') return [{ type: 'text', text: String(name) }];
  return [
    { type: 'text', text: text ?? 'see test://readme' },
    { type: 'resource_link', uri: 'test://unlisted', name: 'unlisted' },
    { type: 'resource', resource: { uri: 'test://readme', text: '{"uri":"test://readme"}' } },
  ];
}

function read(content: MemberContent, uri: string): Answer {
  const known = (content.resources ?? []).map(resourceOf) as { uri: string }[];
  const isTemplate = (content.templates ?? []).some((template) => uri.startsWith(template.split('{')[0] as string));
  if (!isTemplate && !known.some((one) => one.uri === uri)) {
    return { error: { code: -32002, message: 'Resource not found', data: { uri } } };
  }
  return { result: { contents: [{ uri, text: `contents of ${uri}` }] } };
}
