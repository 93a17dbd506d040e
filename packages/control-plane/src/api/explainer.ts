import type { JsonObject } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import {
  argsFromValue,
  type DecisionInput,
  explain,
  explainForMember,
  type Explanation,
  type McpSubject,
  type Principal,
  type FederatedMember,
  type RouteEntry,
  type Snapshot,
  resolveName,
  unwrapUri,
} from '@signalbox/config';
import type { ExplainPrincipal, ExplainRequest } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import type { Clock } from '@signalbox/runtime';

import { invalidArgument } from './errors.ts';
import type { WritePlanner } from './plan-write.ts';

const effects = { allow: 'ALLOW', deny: 'DENY' } as const;

/** Says which rule decides a call, by the table and the decision that a node would use. */
export class Explainer {
  readonly #planner: WritePlanner;
  readonly #clock: Clock;

  constructor(planner: WritePlanner, clock: Clock) {
    this.#planner = planner;
    this.#clock = clock;
  }

  /** @throws ConnectError if the tenant has no such route or the method is not one that rules decide. */
  async explain(request: ExplainRequest, inputs: { readonly current: Snapshot; readonly operator: Snapshot }) {
    const { current, operator } = inputs;
    const { table } = await this.#planner.compileTenant(operator, current);
    const route = table?.routes.get(request.route);
    if (!route) {
      throw new ConnectError(`route "${request.route}" does not exist in "${request.scope}"`, Code.NotFound);
    }
    const { decision, steps } = explainOn(route, decisionInput(request, route, this.#clock.now()));
    return {
      allowed: decision.allowed,
      rule: decision.rule,
      reason: decision.reason,
      revision: current.revision,
      steps: steps.map((step) => ({ ...step, effect: effects[step.effect] })),
    };
  }
}

/** Of a federation: for the member that the name leads to, or the first one of several that may have it. */
function explainOn(route: RouteEntry, input: DecisionInput): Explanation {
  const { authorization } = route;
  const { subject } = input;
  if (route.kind !== 'mcp' || route.mcp.federation === null) return explain(authorization, input);
  if (subject.kind === 'http' || subject.kind === 'a2a') return explain(authorization, input);
  const { federation } = route.mcp;
  if (subject.kind === 'resource') {
    const found = unwrapUri(federation, subject.uri);
    return found ? ofMember(route, input, found.member, { ...subject, uri: found.uri }) : nobodys;
  }
  const [found] = resolveName(federation, subject.kind === 'tool' ? 'tools' : 'prompts', subject.name);
  return found ? ofMember(route, input, found.member, { ...subject, name: found.name }) : nobodys;
}

function ofMember(route: RouteEntry, input: DecisionInput, member: FederatedMember, own: McpSubject): Explanation {
  const asMember = { ...input, backend: member.backend.name };
  return explainForMember(route.authorization, member.authorization, asMember, own);
}

const nobodys: Explanation = {
  decision: { allowed: false, rule: '', reason: 'leads to no member of the virtual server that presents it' },
  steps: [],
};

function decisionInput(request: ExplainRequest, route: RouteEntry, nowMs: number): DecisionInput {
  const { backend, subject, mcp, path } = aboutOf(request, route);
  const principal = principalOf(request.principal);
  return {
    ...{ principal, tenant: route.tenant, backend, subject, mcp, session: '', nowMs },
    request: { host: 'localhost', path },
  };
}

/** What the request would be about, by the kind of the route. */
function aboutOf(
  request: ExplainRequest,
  route: RouteEntry,
): Pick<DecisionInput, 'backend' | 'subject' | 'mcp'> & { readonly path: string } {
  if (route.kind === 'mcp') {
    const method = request.method || 'tools/call';
    const subject = subjectOf(method, request.target, request.arguments);
    const mcp = { method, era: 'modern', version: '2026-07-28' } as const;
    return { backend: route.mcp.member.backend.name, subject, mcp, path: route.endpoint };
  }
  const backend = route.backend.name;
  if (route.kind === 'a2a') {
    const subject = { kind: 'a2a', method: request.method || 'SendMessage', version: '1.0' } as const;
    return { backend, subject, mcp: null, path: route.endpoint };
  }
  const path = request.target || route.endpoint;
  if (!isBelow(path, route.endpoint)) throw invalidArgument(`"${path}" is not below the route's ${route.endpoint}`);
  const method = request.method || (route.kind === 'grpc' ? 'POST' : 'GET');
  const headers = new Map(Object.entries(request.headers).map(([name, value]) => [name.toLowerCase(), value]));
  return { backend, subject: { kind: 'http', method, path, headers }, mcp: null, path };
}

function isBelow(path: string, endpoint: string): boolean {
  return path === endpoint || path.startsWith(`${endpoint}/`);
}

function subjectOf(method: string, target: string, args: JsonObject | undefined): McpSubject {
  switch (method) {
    case 'tools/call':
      return { kind: 'tool', name: target, args: argsFromValue(args ?? {}) ?? new Map() };
    case 'tools/list':
      return { kind: 'tool', name: target };
    case 'prompts/get':
    case 'prompts/list':
      return { kind: 'prompt', name: target };
    case 'resources/read':
    case 'resources/list':
    case 'resources/subscribe':
      return { kind: 'resource', uri: target };
    default:
      throw invalidArgument(`rules do not decide about "${method}": name a method of tools, prompts or resources`);
  }
}

function principalOf(principal: ExplainPrincipal | undefined): Principal {
  const { subject = '', issuer = '', groups = [], claims = {} } = principal ?? {};
  const kind = issuer !== '' ? 'jwt' : principal ? 'api-key' : 'anonymous';
  return {
    id: [kind, issuer, subject].join('|'),
    ...{ kind, issuer, groups },
    subject: subject === '' ? 'anonymous' : subject,
    claims: argsFromValue(claims) ?? new Map(),
  };
}
