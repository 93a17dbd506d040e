import type { RouteEntry, RuleField } from '@signalbox/config';
import { allClaims, type Caller, noClaim, type Reading, type Topic } from '../conditions/reading.ts';

/** What a field is to agentgateway, for requests of a caller about a topic on a route. */
export function readField({ variable, path }: RuleField, route: RouteEntry, topic: Topic, caller: Caller): Reading {
  const [field = '', ...within] = path;
  switch (`${variable}.${field}`) {
    case 'tool.name':
    case 'prompt.name':
    case 'resource.uri':
      return { kind: 'text', filter: 'mcp', path: subjectPath(topic) };
    case 'tenant.name':
      return { kind: 'constant', value: route.tenant };
    case 'backend.name':
      return { kind: 'constant', value: route.mcp.member.backend.name };
    case 'request.path':
      return { kind: 'constant', value: route.endpoint };
    case 'request.host': {
      const [only, ...others] = route.condition.hostnames ?? [];
      if (only !== undefined && others.length === 0) return { kind: 'constant', value: only };
      return { kind: 'unknown', feature: 'request.host, unless the route has exactly one host name' };
    }
    case 'mcp.method': {
      const [only, ...others] = topic.methods;
      if (only !== undefined && others.length === 0) return { kind: 'constant', value: only };
      return { kind: 'unknown', feature: `mcp.method, of what is about a ${topic.name}` };
    }
    case 'principal.kind':
      return { kind: 'constant', value: caller.kind };
    case 'principal.issuer':
      return { kind: 'constant', value: caller.kind === 'jwt' ? caller.issuer : '' };
    case 'principal.subject':
      if (caller.kind === 'anonymous') return { kind: 'constant', value: caller.subject };
      return { kind: 'text', filter: 'jwt', path: caller.kind === 'jwt' ? ['jwt', 'sub'] : ['apiKey', 'subject'] };
    case 'principal.groups':
      return groupsOf(caller);
    case 'principal.claims':
      return caller.kind === 'jwt' ? claim(within) : noClaim(within);
    default:
      if (variable === 'args') return { kind: 'unknown', feature: 'arguments, which its rules do not see' };
      return { kind: 'unknown', feature: path.length === 0 ? variable : `${variable}.${field}` };
  }
}

/** The name of what a request is about; an error for requests about something else. */
export function subjectPath({ name }: Topic): readonly string[] {
  return ['mcp', name, 'name'];
}

function groupsOf(caller: Caller): Reading {
  if (caller.kind === 'anonymous') return { kind: 'groups', path: undefined };
  if (caller.kind === 'api-key') return { kind: 'groups', path: ['apiKey', 'groups'] };
  const found = claim([caller.groupsClaim]);
  return found.kind === 'open' ? { kind: 'groups', path: found.path } : found;
}

function claim(path: readonly string[]): Reading {
  if (path.length === 0) return allClaims;
  // Under this name agentgateway has the token itself.
  if (path[0] === 'rawToken') return { kind: 'unknown', feature: 'a claim with the name rawToken' };
  return { kind: 'open', filter: 'jwt', path: ['jwt', ...path] };
}
