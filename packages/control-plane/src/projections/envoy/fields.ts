import type { McpRouteEntry, RuleField } from '@signalbox/config';
import type { MetadataFilter } from '../conditions/formula.ts';
import { type Caller, noClaim, type Reading, type Topic } from '../conditions/reading.ts';

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
export function readField({ variable, path }: RuleField, route: McpRouteEntry, topic: Topic, caller: Caller): Reading {
  const [field = '', ...within] = path;
  switch (`${variable}.${field}`) {
    case 'tool.name':
    case 'prompt.name':
    case 'resource.uri':
      return { kind: 'text', filter: 'mcp', path: ['params', topic.subject] };
    case 'tenant.name':
      return { kind: 'constant', value: route.tenant };
    case 'backend.name':
      return { kind: 'constant', value: route.mcp.member.backend.name };
    case 'request.path':
      return { kind: 'constant', value: route.endpoint };
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
