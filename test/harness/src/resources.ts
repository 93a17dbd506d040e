import { createHash } from 'node:crypto';

import type { JwtIssuer } from './jwt-issuer.ts';

/** One resource in its envelope, as it would stand in a file. */
export type ResourceFile = Readonly<Record<string, unknown>>;

/** A rule as people write it, or the text of an ALLOW rule. */
export type RuleSpec = string | { readonly name?: string; readonly effect: 'ALLOW' | 'DENY'; readonly when: string };

export interface McpRouteOptions {
  readonly tenant?: string;
  /** Name of route, backend, virtual server and policy. The endpoint is `/<tenant>/<name>/mcp`. */
  readonly name: string;
  /** The backend's endpoint. */
  readonly url: string;
  /** API keys by subject. */
  readonly keys?: Readonly<Record<string, string>>;
  readonly jwt?: JwtIssuer;
  /** Lets requests without a credential in. */
  readonly anonymous?: boolean;
  /** In order; nothing is allowed without one. */
  readonly rules?: readonly RuleSpec[];
}

/** Resource files as text; JSON is YAML. */
export function yaml(documents: readonly ResourceFile[]): string {
  return documents.map((document) => JSON.stringify(document, undefined, 2)).join('\n---\n');
}

export function gateway(name = 'default'): ResourceFile {
  return document('Gateway', { name }, { listeners: [{ name: 'main', port: 8080 }] });
}

export function tenant(name = 'acme'): ResourceFile {
  return document('Tenant', { name }, {});
}

/** One MCP route of a tenant with everything behind it. */
export function mcpRoute(options: McpRouteOptions): ResourceFile[] {
  const { name, url } = options;
  const metadata = { tenant: options.tenant ?? 'acme', name };
  return [
    document('Backend', metadata, { mcp: { url } }),
    document('VirtualServer', metadata, { members: [{ backend: name }] }),
    document('Route', metadata, {
      gateway: 'default',
      match: { path: `/${metadata.tenant}/${name}` },
      mcp: { virtualServer: name },
    }),
    policy(options),
  ];
}

export interface FederatedRouteOptions extends Omit<McpRouteOptions, 'url'> {
  /** URLs of the backends, by name. */
  readonly backends: Readonly<Record<string, string>>;
  /** Spec of the virtual server; every backend with its name as prefix unless given. */
  readonly spec?: ResourceFile;
}

/** One MCP route to a virtual server of several members. */
export function federatedRoute(options: FederatedRouteOptions): ResourceFile[] {
  const { name, backends } = options;
  const metadata = { tenant: options.tenant ?? 'acme', name };
  const members = Object.keys(backends).map((backend) => ({ backend, prefix: backend }));
  return [
    ...Object.entries(backends).map(([backend, url]) =>
      document('Backend', { tenant: metadata.tenant, name: backend }, { mcp: { url } }),
    ),
    document('VirtualServer', metadata, { members, ...options.spec }),
    document('Route', metadata, {
      gateway: 'default',
      match: { path: `/${metadata.tenant}/${name}` },
      mcp: { virtualServer: name },
    }),
    policy(options),
  ];
}

export interface ForwardRouteOptions extends Omit<McpRouteOptions, 'url'> {
  readonly kind: 'http' | 'grpc' | 'a2a';
  /** URL of the backend. */
  readonly url: string;
  /** More of the specs. */
  readonly route?: ResourceFile;
  readonly backend?: ResourceFile;
  readonly limits?: ResourceFile;
}

/** One route of another kind than MCP with everything behind it, at `/<tenant>/<name>` unless `route` says otherwise. */
export function forwardRoute(options: ForwardRouteOptions): ResourceFile[] {
  const { name, kind, url, limits } = options;
  const metadata = { tenant: options.tenant ?? 'acme', name };
  const access = policy(options);
  return [
    document('Backend', metadata, { [kind]: { url }, ...options.backend }),
    document('Route', metadata, {
      ...{ gateway: 'default', match: { path: `/${metadata.tenant}/${name}` }, [kind]: { backend: name } },
      ...options.route,
    }),
    { ...access, spec: { ...(access['spec'] as ResourceFile), ...(limits && { limits }) } },
  ];
}

/** The policy of the route alone: to change what it allows. */
export function policy(options: Omit<McpRouteOptions, 'url'>): ResourceFile {
  return document(
    'Policy',
    { tenant: options.tenant ?? 'acme', name: options.name },
    {
      target: { route: options.name },
      authentication: authentication(options),
      authorization: (options.rules ?? []).map((rule) =>
        typeof rule === 'string' ? { effect: 'ALLOW', when: rule } : rule,
      ),
    },
  );
}

function authentication({ keys = {}, jwt, anonymous = false }: Omit<McpRouteOptions, 'url'>): ResourceFile {
  const apiKeys = Object.entries(keys).map(([subject, key]) => ({
    subject,
    sha256: createHash('sha256').update(key).digest('hex'),
  }));
  return {
    ...(apiKeys.length > 0 ? { apiKeys } : {}),
    ...(jwt ? { jwt: [{ issuer: jwt.issuer, audiences: ['signalbox'], jwks: { uri: jwt.jwksUri } }] } : {}),
    ...(anonymous ? { anonymous: {} } : {}),
  };
}

function document(
  kind: string,
  metadata: { readonly tenant?: string; readonly name: string },
  spec: ResourceFile,
): ResourceFile {
  return { apiVersion: 'signalbox.dev/v1', kind, metadata, spec };
}
