import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import {
  compileOperator,
  compileTenant,
  decodeDocument,
  type Federation,
  type Forwarding,
  type LimitEntry,
  makeSnapshot,
  type OperatorTable,
  parseResourceFile,
  presentedName,
  type Problem,
  resolveName,
  type RouteEntry,
  type Snapshot,
  type TenantTable,
  unwrapUri,
  withLocations,
  wrapUri,
} from './index.ts';

// Every testdata/<sentence>.in.yaml is read, decoded and compiled; <sentence>.out.yaml is what came out of it.
// UPDATE_GOLDEN=1 rewrites the expectations; read the difference before committing it.
const folder = new URL('testdata/', import.meta.url);
const inputs = readdirSync(folder).filter((file) => file.endsWith('.in.yaml'));
const variables: Readonly<Record<string, string>> = { HOST: '127.0.0.1', ROBOT_KEY: 'robot-key-0123456789' };

describe('a file of resources', () => {
  it.each(inputs.map((file) => [file.slice(0, -'.in.yaml'.length).replaceAll('-', ' '), file]))('%s', (_name, file) => {
    const output = new URL(file.replace('.in.yaml', '.out.yaml'), folder);
    const text = summarize(readFileSync(new URL(file, folder), 'utf8'));
    // oxlint-disable-next-line no-restricted-properties
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(output, text);
    expect(text).toBe(readFileSync(output, 'utf8'));
  });
});

function summarize(text: string): string {
  const { documents, problems } = parseResourceFile(text, { file: 'in.yaml', variables: (name) => variables[name] });
  const decoded = documents.map(decodeDocument);
  const found = [...problems, ...decoded.flatMap((result) => result.problems)];
  const resources = decoded.flatMap((result) => result.resource ?? []);
  const scopes = [...new Set(resources.map((resource) => resource.scope))].sort();
  const snapshotOf = (scope: string): Snapshot => {
    const stored = resources.filter((resource) => resource.scope === scope).map((resource) => resource.stored);
    return makeSnapshot(scope, 7n, stored);
  };
  const summary: Record<string, unknown> = {};
  if (!found.some((problem) => problem.severity === 'error')) {
    const operator = compileOperator(snapshotOf('operator'));
    found.push(...operator.problems);
    if (operator.table !== undefined) summary['operator'] = describeOperator(operator.table);
    for (const scope of scopes.filter((name) => name !== 'operator' && operator.table !== undefined)) {
      const tenant = compileTenant(snapshotOf(scope), operator.table as OperatorTable);
      found.push(...tenant.problems);
      if (tenant.table !== undefined) summary[scope] = describeTenant(tenant.table);
    }
  }
  const lines = withLocations(found, documents).map(describeProblem);
  return stringify({ problems: lines, ...summary }, { lineWidth: 0 });
}

function describeProblem(problem: Problem): string {
  const { severity, code, kind, scope, name, field, line, message } = problem;
  return `line ${line ?? '?'}: ${severity} ${code}: ${kind} ${scope}/${name} ${field}: ${message}`;
}

function describeOperator({ gateways, tenants }: OperatorTable): unknown {
  return {
    gateways: Object.fromEntries(
      [...gateways.values()].map(({ name, listeners }) => [
        name,
        listeners.map(({ name: listener, port, hostnames, allowedOrigins }) => {
          const origins = allowedOrigins === null ? 'loopback' : [...allowedOrigins].join(' ');
          return `${listener} on ${port} for ${[...hostnames].join(' ')}, origins ${origins}`;
        }),
      ]),
    ),
    tenants: Object.fromEntries([...tenants.values()].map(({ name, pathPrefixes }) => [name, [...pathPrefixes]])),
  };
}

function describeTenant(table: TenantTable): unknown {
  return Object.fromEntries([...table.routes.values()].map((route) => [route.name, describeRoute(route)]));
}

function describeFederation(federation: Federation): unknown {
  const { members, conflicts, partialLists, maxNameLength, instructions } = federation;
  const rows = (map: ReadonlyMap<string, string>): string[] => [...map].map(([from, to]) => `${from} -> ${to}`);
  return {
    rules: `${conflicts}, ${partialLists}, names to ${maxNameLength}`,
    instructions: `${instructions.text} (${instructions.members}, ${instructions.maxBytes} bytes)`,
    members: members.map((member) => ({
      [member.key]: `${member.prefix || 'no prefix'}, ${member.backend.name}`,
      tools: [...rows(member.tools.renamed), ...rows(member.tools.descriptions)],
      tries: ['search', 'search_issues', 'find', 'delete_all', 'x'.repeat(60)].map((name) => {
        const shown = presentedName(federation, member, 'tools', name);
        const back = shown === undefined ? [] : resolveName(federation, 'tools', shown);
        return `${name.slice(0, 20)}: ${shown ?? 'hidden'}, leads to ${back.map((to) => `${to.member.key} ${to.name}`).join(' or ') || 'nothing'}`;
      }),
      uris: ['file:///{path}', 'ui://panel', 'secret://x'].map((uri) => {
        const wrapped = wrapUri(member, uri);
        return `${uri}: ${wrapped}, leads to ${unwrapUri(federation, wrapped)?.uri ?? 'nothing'}`;
      }),
      rules: member.authorization.rules.map(({ id, effect, when }) => `${id}: ${effect} ${when}`),
    })),
  };
}

function describeRoute(route: RouteEntry): unknown {
  const { gateway, endpoint, authentication, authorization, limits, bounds } = route;
  return {
    endpoint: `${endpoint} on ${gateway}`,
    ...describeDestination(route),
    authentication: [
      `from ${authentication.source}`,
      ...[...authentication.apiKeys].map(
        ([hash, key]) => `key ${hash.slice(0, 8)} is ${key.subject} in ${key.groups.join(' ')}`,
      ),
      ...[...authentication.jwt.values()].map(
        ({ issuer, audiences, groupsClaim, jwks }) =>
          `tokens of ${issuer} for ${audiences.join(' ')}, groups in ${groupsClaim}, keys ${'uri' in jwks ? jwks.uri : 'inline'}`,
      ),
      ...(authentication.revocations?.entries.map(
        ({ issuer, tokenIds, subjects, issuedBeforeMs }) =>
          `not tokens of ${issuer || 'anybody'}: ids ${[...tokenIds].join(' ')}, subjects ${[...subjects].join(' ')}, before ${issuedBeforeMs}`,
      ) ?? []),
      ...(authentication.anonymous === null ? [] : [`without credential is ${authentication.anonymous.subject}`]),
    ],
    rules: authorization.rules.map(({ id, effect, when }) => `${id}: ${effect} ${when}`),
    ...(limits.length === 0 ? {} : { limits: limits.map(describeLimit) }),
    ...(bounds.ids.length === 0 ? {} : { bounds: JSON.stringify(bounds) }),
  };
}

function isPlain({ requestHeaders, responseHeaders, timeouts }: Forwarding): boolean {
  return requestHeaders === null && responseHeaders === null && Object.values(timeouts).every((ms) => ms === null);
}

function describeLimit({ id, key, concurrent }: LimitEntry): string {
  return `${id}: ${key}${concurrent === 0 ? '' : `, ${concurrent} under way`}`;
}

function describeDestination(route: RouteEntry): object {
  if (route.kind === 'mcp') {
    const { backend } = route.mcp.member;
    const { federation } = route.mcp;
    return {
      leadsTo: `${route.mcp.virtualServer}, ${backend.name}, ${backend.url}`,
      ...(backend.http === 'http1' ? {} : { http: backend.http }),
      ...(isPlain(route.forwarding) ? {} : { forwarding: JSON.stringify(route.forwarding) }),
      ...(federation === null ? {} : { federation: describeFederation(federation) }),
    };
  }
  const { name, url, cardUrl, tls, connection } = route.backend;
  return {
    leadsTo: [route.kind, name, url, cardUrl].filter(Boolean).join(', '),
    ...(tls === null ? {} : { tls }),
    connection: JSON.stringify(connection),
    forwarding: JSON.stringify(route.forwarding),
  };
}
