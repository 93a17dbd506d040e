import type { RouteEntry, RuleField } from '@signalbox/config';
import type { MetadataFilter } from '../conditions/formula.ts';
import { type Caller, noClaim, type Reading, type Topic, topics as mcpTopics } from '../conditions/reading.ts';
import { operationOptions, versionOptions } from './a2a.ts';
import { backendOf } from './upstream.ts';

/** What requests of a route can be about. */
export type EnvoyTopic = Topic | { readonly name: 'http' | 'a2a' };

export function topicsOf({ kind }: RouteEntry): readonly EnvoyTopic[] {
  if (kind === 'mcp') return mcpTopics;
  return [{ name: kind === 'a2a' ? 'a2a' : 'http' }];
}

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

/** What a field is for requests of a caller about a topic on a route. */
export function readField(
  { variable, path }: RuleField,
  route: RouteEntry,
  topic: EnvoyTopic,
  caller: Caller,
): Reading {
  const [field = '', ...within] = path;
  switch (`${variable}.${field}`) {
    case 'tool.name':
    case 'prompt.name':
    case 'resource.uri':
      return 'subject' in topic ? { kind: 'text', filter: 'mcp', path: ['params', topic.subject] } : elsewhere;
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
      if (!('methods' in topic)) return elsewhere;
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
      if (caller.kind === 'api-key') return { kind: 'unknown', feature: 'callers with API keys' };
      return { kind: 'text', filter: 'jwt', path: [payloadKey, 'sub'] };
    case 'principal.groups':
      return { kind: 'groups', path: caller.kind === 'jwt' ? [payloadKey, caller.groupsClaim] : undefined };
    case 'principal.claims':
      return caller.kind === 'jwt' ? open('jwt', [payloadKey, ...within]) : noClaim(within);
    default:
      if (variable === 'args') return open('mcp', ['params', 'arguments', ...path]);
      return { kind: 'unknown', feature: path.length === 0 ? variable : `${variable}.${field}` };
  }
}

/** What a rule about other requests reads. */
const elsewhere: Reading = { kind: 'unreachable' };

/** What a header field is to rules: names in another case, and credentials, are never there. */
function readHeader([name, ...deeper]: readonly string[]): Reading {
  if (name === undefined) return { kind: 'headers', read: (one) => readHeader([one]) };
  if (deeper.length > 0) return elsewhere;
  if (name !== name.toLowerCase() || credentials.has(name)) return { kind: 'absent' };
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
