import type { JwtIssuer } from '@signalbox/test-harness';

interface EnvoyOptions {
  readonly port: number;
  readonly adminPort: number;
  readonly upstream: URL;
  readonly issuer: JwtIssuer;
  /** Presents the upstream as members of these names, by `mcp_router`, in place of sending all of it there. */
  readonly members?: readonly string[];
}

const type = (name: string) => ({ '@type': `type.googleapis.com/${name}` });
const address = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } });

/** A static configuration with the same policy as our proxy: a verified token, and the tools that a rule names. */
export function envoyConfig(options: EnvoyOptions): object {
  const { port, adminPort, upstream } = options;
  return {
    admin: { address: address(adminPort) },
    static_resources: {
      listeners: [{ name: 'main', address: address(port), filter_chains: [{ filters: [connectionManager(options)] }] }],
      clusters: [
        {
          name: 'mcp',
          type: 'STATIC',
          connect_timeout: '1s',
          load_assignment: {
            cluster_name: 'mcp',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: address(Number(upstream.port)) } }] }],
          },
        },
      ],
    },
  };
}

function connectionManager({ issuer, upstream, members = [] }: EnvoyOptions): object {
  const filters = 'envoy.extensions.filters.http';
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      ...type('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
      stat_prefix: 'main',
      route_config: {
        virtual_hosts: [
          {
            name: 'all',
            domains: ['*'],
            routes: [{ match: { prefix: '/' }, route: { cluster: 'mcp', timeout: '0s' } }],
          },
        ],
      },
      http_filters: [
        {
          name: 'envoy.filters.http.jwt_authn',
          typed_config: { ...type(`${filters}.jwt_authn.v3.JwtAuthentication`), ...jwt(issuer) },
        },
        {
          name: 'envoy.filters.http.mcp',
          typed_config: {
            ...type(`${filters}.mcp.v3.Mcp`),
            traffic_mode: 'REJECT_NO_MCP',
            reject_duplicate_keys: true,
            max_request_body_size: 4_194_304,
          },
        },
        {
          name: 'envoy.filters.http.rbac',
          typed_config: { ...type(`${filters}.rbac.v3.RBAC`), rules: rules(members) },
        },
        members.length === 0
          ? { name: 'envoy.filters.http.router', typed_config: type(`${filters}.router.v3.Router`) }
          : memberRouter(upstream, members),
      ],
    },
  };
}

function jwt(issuer: JwtIssuer): object {
  return {
    providers: {
      idp: {
        issuer: issuer.issuer,
        audiences: ['signalbox'],
        local_jwks: { inline_string: issuer.jwks },
        payload_in_metadata: 'jwt',
        jwt_cache_config: { jwt_cache_size: 1_000 },
      },
    },
    rules: [{ match: { prefix: '/' }, requires: { provider_name: 'idp' } }],
  };
}

function memberRouter({ host, pathname }: URL, members: readonly string[]): object {
  const cluster = { cluster: 'mcp', path: pathname, timeout: '60s', host_rewrite_literal: host };
  return {
    name: 'envoy.filters.http.mcp_router',
    typed_config: {
      ...type('envoy.extensions.filters.http.mcp_router.v3.McpRouter'),
      servers: members.map((name) => ({ name, mcp_cluster: cluster })),
      session_identity: {
        identity: {
          dynamic_metadata: {
            key: { key: 'envoy.filters.http.jwt_authn', path: [{ key: 'jwt' }, { key: 'sub' }] },
          },
        },
        validation: { mode: 'ENFORCE' },
      },
    },
  };
}

function rules(members: readonly string[]): object {
  const is = (path: readonly string[], value: object) => ({
    metadata: { filter: 'envoy.filters.http.mcp', path: path.map((key) => ({ key })), value: { string_match: value } },
  });
  const isCall = is(['method'], { exact: 'tools/call' });
  const prefixes = members.length === 0 ? [''] : members.map((member) => `${member}__`);
  const tools = ['small', 'medium', 'large']
    .flatMap((tool) => prefixes.map((prefix) => prefix + tool))
    .map((tool) => is(['params', 'name'], { exact: tool }));
  return {
    action: 'ALLOW',
    policies: {
      tools: {
        permissions: [{ and_rules: { rules: [isCall, { or_rules: { rules: tools } }] } }],
        principals: [{ any: true }],
      },
      handshake: { permissions: [{ not_rule: isCall }], principals: [{ any: true }] },
    },
  };
}
