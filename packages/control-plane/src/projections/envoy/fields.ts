import type { RouteEntry, RuleField } from '@signalbox/config';
import { operationOptions, versionOptions } from './a2a.ts';
import type { MetadataFilter, Option } from './formula.ts';
import { backendOf } from './upstream.ts';

/** What a request is about, and the methods that are about it. */
export interface Topic {
  readonly name: 'tool' | 'prompt' | 'resource' | 'http' | 'a2a';
  /** Of JSON-RPC. */
  readonly methods: readonly string[];
  /** Where the message names its subject, below `params`. */
  readonly subject: 'name' | 'uri';
}

/** What requests of a route can be about. */
export function topicsOf({ kind }: RouteEntry): readonly Topic[] {
  if (kind === 'a2a') return [a2aTopic];
  return kind === 'mcp' ? mcpTopics : [httpTopic];
}

const a2aTopic: Topic = { name: 'a2a', methods: [], subject: 'name' };
const httpTopic: Topic = { name: 'http', methods: [], subject: 'name' };
const mcpTopics: readonly Topic[] = [
  { name: 'tool', methods: ['tools/call'], subject: 'name' },
  { name: 'prompt', methods: ['prompts/get'], subject: 'name' },
  { name: 'resource', methods: ['resources/read', 'resources/subscribe'], subject: 'uri' },
];

/** Methods of the protocol itself, in either era: everyone who is authenticated may use them, as at our own proxy. */
export const protocolMethods: readonly string[] = [
  'completion/complete',
  'initialize',
  'logging/setLevel',
  'ping',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
  'resources/unsubscribe',
  'server/discover',
  'subscriptions/listen',
  'tools/list',
];

/** Who calls, as far as it is known before the request comes. */
export type Caller =
  | { readonly kind: 'jwt'; readonly issuer: string; readonly groupsClaim: string }
  | { readonly kind: 'anonymous'; readonly subject: string };

/** What a field of an expression is to Envoy. */
export type Reading =
  /** Known when the configuration is made. */
  | { readonly kind: 'constant'; readonly value: string }
  /** A text that every request has. */
  | { readonly kind: 'text'; readonly filter: MetadataFilter; readonly path: readonly string[] }
  | { readonly kind: 'host' }
  /** Method, or path without query, of an HTTP request. */
  | { readonly kind: 'method' | 'path' }
  /** One of a few texts, each of which has its condition; requests of which none holds are denied. */
  | { readonly kind: 'one-of'; readonly options: readonly Option[] }
  /** A header field that may be missing. */
  | { readonly kind: 'header'; readonly name: string }
  /** All header fields. */
  | { readonly kind: 'headers' }
  /** A claim that is a text or a list of texts; undefined for callers without groups. */
  | { readonly kind: 'groups'; readonly path: readonly string[] | undefined }
  /** What may be missing, and of any type. */
  | { readonly kind: 'open'; readonly filter: MetadataFilter; readonly path: readonly string[] }
  /** What is never there. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'unknown'; readonly feature: string };

/** What a field is for requests of a caller about a topic on a route. */
export function readField({ variable, path }: RuleField, route: RouteEntry, topic: Topic, caller: Caller): Reading {
  const [field = '', ...within] = path;
  switch (`${variable}.${field}`) {
    case 'tool.name':
    case 'prompt.name':
    case 'resource.uri':
      return { kind: 'text', filter: 'mcp', path: ['params', topic.subject] };
    case 'tenant.name':
      return { kind: 'constant', value: route.tenant };
    case 'backend.name':
      return { kind: 'constant', value: backendOf(route).name };
    case 'request.path':
      return route.kind === 'mcp' ? { kind: 'constant', value: route.endpoint } : { kind: 'path' };
    case 'a2a.method':
      return { kind: 'one-of', options: operationOptions };
    case 'a2a.version':
      return { kind: 'one-of', options: versionOptions };
    case 'http.method':
      return { kind: 'method' };
    case 'http.path':
      return { kind: 'path' };
    case 'http.headers':
      return readHeader(within);
    case 'request.host':
      return { kind: 'host' };
    case 'mcp.method': {
      const [only, ...others] = topic.methods;
      if (only !== undefined && others.length === 0) return { kind: 'constant', value: only };
      return { kind: 'text', filter: 'mcp', path: ['method'] };
    }
    case 'principal.kind':
      return { kind: 'constant', value: caller.kind };
    case 'principal.issuer':
      return { kind: 'constant', value: caller.kind === 'jwt' ? caller.issuer : '' };
    case 'principal.subject':
      if (caller.kind === 'anonymous') return { kind: 'constant', value: caller.subject };
      return { kind: 'text', filter: 'jwt', path: [payloadKey, 'sub'] };
    case 'principal.groups':
      return { kind: 'groups', path: caller.kind === 'jwt' ? [payloadKey, caller.groupsClaim] : undefined };
    case 'principal.claims':
      return caller.kind === 'jwt' ? open('jwt', [payloadKey, ...within]) : { kind: 'absent' };
    default:
      if (variable === 'args') return open('mcp', ['params', 'arguments', ...path]);
      return { kind: 'unknown', feature: path.length === 0 ? variable : `${variable}.${field}` };
  }
}

/** What a header field is to rules: names in another case, and credentials, are never there. */
export function readHeader([name, ...deeper]: readonly string[]): Reading {
  if (name === undefined) return { kind: 'headers' };
  if (name !== name.toLowerCase() || credentials.has(name) || deeper.length > 0) return { kind: 'absent' };
  if (!/^[a-z0-9_-]+$/.test(name)) return { kind: 'unknown', feature: 'header fields with odd names' };
  if (rewritten.has(name) || name.startsWith('x-envoy-')) {
    return { kind: 'unknown', feature: `the header field ${name}, which Envoy writes or removes by itself` };
  }
  return { kind: 'header', name };
}

const credentials: ReadonlySet<string> = new Set(['authorization', 'cookie', 'proxy-authorization']);
const rewritten: ReadonlySet<string> = new Set([
  ...['host', 'connection', 'content-length', 'expect', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'upgrade'],
  ...['transfer-encoding', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-request-id'],
]);

/** Key of the metadata under which the claims of a token lie. */
export const payloadKey = 'jwt';

/** Envoy finds a value of the message by a path with dots, so a name with one cannot be asked for. */
function open(filter: MetadataFilter, path: readonly string[]): Reading {
  const least = filter === 'mcp' ? 3 : 2;
  if (path.length < least) return { kind: 'unknown', feature: 'all arguments or claims at once' };
  if (path.includes('')) return { kind: 'unknown', feature: 'a field without name' };
  if (filter === 'mcp' && path.some((name) => name.includes('.'))) {
    return { kind: 'unknown', feature: 'an argument with a dot in its name' };
  }
  return { kind: 'open', filter, path };
}
