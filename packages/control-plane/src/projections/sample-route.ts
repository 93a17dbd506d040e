import { compileOperator, compileTenant, decodeDocument, makeSnapshot, type RouteEntry } from '@signalbox/config';

/** What is special about a route that shows a feature. */
export interface SampleRoute {
  readonly match?: object;
  readonly url?: string;
  readonly authentication?: object;
  readonly authorization?: readonly object[];
  /** Of the virtual server: backends are `sample` and `other`. */
  readonly members?: readonly object[];
  /** What members without prefix do with names that several have. */
  readonly conflicts?: string;
  readonly toolSearch?: object;
  readonly limits?: object;
  /** Tokens are revoked. */
  readonly revocations?: readonly object[];
  /** The backend `sample` is in quarantine. */
  readonly quarantined?: boolean;
  /** Empty: mcp. */
  readonly protocol?: 'http' | 'grpc' | 'a2a';
  /** More of the spec of the route, and of a backend that is not of MCP. */
  readonly route?: object;
  readonly backend?: object;
}

/** A key set that every data plane can use. */
export const sampleKeySet = JSON.stringify({
  keys: [{ kty: 'OKP', crv: 'Ed25519', kid: 'a', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }],
});

const anyone = {
  anonymous: {},
  jwt: [{ issuer: 'https://a.example', audiences: ['a'], jwks: { inline: sampleKeySet } }],
};

/** A compiled route with that. @throws when it does not compile, which is a fault of the sample. */
export function sampleRoute(sample: SampleRoute): RouteEntry {
  const { authentication, authorization, limits } = sample;
  const operator = compileOperator(
    makeSnapshot('operator', 1n, [
      stored('Gateway', '', 'sample', { listeners: [{ name: 'http', port: 8080 }] }),
      stored('Tenant', '', 'acme', {}),
    ]),
  );
  if (!operator.table) throw new Error(`the sample's gateway: ${operator.problems[0]?.message}`);
  const policy = {
    target: { tenant: {} },
    authentication: authentication ?? anyone,
    authorization: authorization ?? [{ effect: 'ALLOW', when: 'true' }],
    ...(limits && { limits }),
    ...(sample.revocations && { revocations: sample.revocations }),
  };
  const resources = [...(sample.protocol === undefined ? mcpResources(sample) : forwardResources(sample))];
  const { table, problems } = compileTenant(
    makeSnapshot('acme', 1n, [
      ...resources,
      stored('Policy', 'acme', 'sample', policy),
      ...(sample.quarantined === true ? [stored('Policy', 'acme', 'quarantine', quarantine)] : []),
    ]),
    operator.table,
  );
  const route = table?.routes.get('sample');
  if (!route) throw new Error(`a sample of a feature: ${problems[0]?.message}`);
  return route;
}

const quarantine = { target: { backend: 'sample' }, quarantine: { reason: 'a sample' } };

function mcpResources({ match, url, members = [{ backend: 'sample' }], ...more }: SampleRoute) {
  const { conflicts, toolSearch, route } = more;
  return [
    stored('Backend', 'acme', 'sample', { mcp: { url: url ?? 'http://127.0.0.1/mcp' } }),
    stored('Backend', 'acme', 'other', { mcp: { url: 'http://127.0.0.2/mcp' } }),
    stored('VirtualServer', 'acme', 'sample', {
      members,
      ...(conflicts && { conflicts }),
      ...(toolSearch && { toolSearch }),
    }),
    stored('Route', 'acme', 'sample', { ...place(match), mcp: { virtualServer: 'sample' }, ...route }),
  ];
}

function forwardResources({ protocol = 'http', match, url, route, backend }: SampleRoute) {
  return [
    stored('Backend', 'acme', 'sample', { [protocol]: { url: url ?? 'https://127.0.0.1' }, ...backend }),
    stored('Route', 'acme', 'sample', { ...place(match), [protocol]: { backend: 'sample' }, ...route }),
  ];
}

function place(match: object | undefined): object {
  return { gateway: 'sample', match: { path: '/acme/sample', ...match } };
}

function stored(kind: string, tenant: string, name: string, spec: object) {
  const { resource, problems } = decodeDocument({ kind, tenant, name, spec: JSON.parse(JSON.stringify(spec)) });
  if (!resource) throw new Error(`a sample of a feature: ${problems[0]?.message}`);
  return resource.stored;
}
