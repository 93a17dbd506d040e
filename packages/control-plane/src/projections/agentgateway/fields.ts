import type { RouteEntry, RuleField } from '@signalbox/config';
import { allClaims, type Caller, noClaim, type Reading, type Topic } from '../conditions/reading.ts';

/** What requests on a route may be about; `a2a` has no parts that agentgateway tells apart. */
export type AgentgatewayTopic = Topic | A2aTopic | HttpTopic;

interface HttpTopic {
  readonly name: 'http';
}

interface A2aTopic {
  readonly name: 'a2a';
  /** What every request of this route is, if that is known. */
  readonly operation: string | undefined;
}

/** What a field is to agentgateway, for requests of a caller about a topic on a route. */
export function readField(
  field: RuleField,
  route: RouteEntry,
  { topic, caller }: { readonly topic: AgentgatewayTopic; readonly caller: Caller },
): Reading {
  const [name = ''] = field.path;
  switch (field.variable) {
    case 'principal':
      return ofCaller(field, caller);
    case 'tenant':
    case 'backend':
    case 'request':
      return ofRoute(field, route);
    default:
      if (topic.name === 'a2a') return ofA2a(field, topic);
      if (topic.name === 'http') return ofHttp(field);
      if (`${field.variable}.${name}` === `${topic.name}.${topic.subject}`) {
        return { kind: 'text', filter: 'mcp', path: subjectPath(topic) };
      }
      return ofMcp(field, topic);
  }
}

function ofCaller(field: RuleField, caller: Caller): Reading {
  const [name = '', ...within] = field.path;
  switch (name) {
    case 'kind':
      return { kind: 'constant', value: caller.kind };
    case 'issuer':
      return { kind: 'constant', value: caller.kind === 'jwt' ? caller.issuer : '' };
    case 'subject':
      if (caller.kind === 'anonymous') return { kind: 'constant', value: caller.subject };
      return { kind: 'text', filter: 'jwt', path: caller.kind === 'jwt' ? ['jwt', 'sub'] : ['apiKey', 'subject'] };
    case 'groups':
      return groupsOf(caller);
    case 'claims':
      return caller.kind === 'jwt' ? claim(within) : noClaim(within);
    default:
      return unknown(field);
  }
}

function ofRoute(field: RuleField, route: RouteEntry): Reading {
  switch (`${field.variable}.${field.path[0]}`) {
    case 'tenant.name':
      return { kind: 'constant', value: route.tenant };
    case 'backend.name':
      return { kind: 'constant', value: (route.kind === 'mcp' ? route.mcp.member.backend : route.backend).name };
    case 'request.path':
      return route.kind === 'mcp' ? { kind: 'constant', value: route.endpoint } : { kind: 'path' };
    case 'request.host': {
      const [only, ...others] = route.condition.hostnames ?? [];
      if (only !== undefined && others.length === 0) return { kind: 'constant', value: only };
      return { kind: 'unknown', feature: 'request.host, unless the route has exactly one host name' };
    }
    default:
      return unknown(field);
  }
}

function ofMcp(field: RuleField, topic: Topic): Reading {
  if (field.variable === 'args') return { kind: 'unknown', feature: 'arguments, which its rules do not see' };
  if (field.variable !== 'mcp' || field.path[0] !== 'method') return unknown(field);
  const [only, ...others] = topic.methods;
  if (only !== undefined && others.length === 0) return { kind: 'constant', value: only };
  return { kind: 'unknown', feature: `mcp.method, of what is about a ${topic.name}` };
}

/** Of header fields that stand there more than once it makes lists, and our proxy one text. */
function ofHttp(field: RuleField): Reading {
  const [name = ''] = field.path;
  if (field.variable !== 'http' || field.path.length !== 1) return unknown(field);
  return name === 'method' || name === 'path' ? { kind: name } : unknown(field);
}

function ofA2a(field: RuleField, { operation }: A2aTopic): Reading {
  if (field.variable === 'mcp') return { kind: 'unreachable' };
  if (field.variable === 'a2a' && field.path[0] === 'method' && operation !== undefined) {
    return { kind: 'constant', value: operation };
  }
  return unknown(field);
}

function unknown({ variable, path }: RuleField): Reading {
  return { kind: 'unknown', feature: [variable, ...path.slice(0, 1)].join('.') };
}

/** The name of what a request of MCP is about; an error for requests about something else. */
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
