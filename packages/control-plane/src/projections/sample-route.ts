import { compileOperator, compileTenant, decodeDocument, makeSnapshot, type McpRouteEntry } from '@signalbox/config';

/** What is special about a route that shows a feature. */
export interface SampleRoute {
  readonly match?: object;
  readonly url?: string;
  readonly authentication?: object;
  readonly authorization?: readonly object[];
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
export function sampleRoute({ match, url, authentication, authorization }: SampleRoute): McpRouteEntry {
  const operator = compileOperator(
    makeSnapshot('operator', 1n, [
      stored('Gateway', '', 'sample', { listeners: [{ name: 'http', port: 8080 }], dataPlanes: ['NATIVE'] }),
      stored('Tenant', '', 'acme', {}),
    ]),
  );
  if (!operator.table) throw new Error(`the sample's gateway: ${operator.problems[0]?.message}`);
  const policy = {
    target: { tenant: {} },
    authentication: authentication ?? anyone,
    authorization: authorization ?? [{ effect: 'ALLOW', when: 'true' }],
  };
  const { table, problems } = compileTenant(
    makeSnapshot('acme', 1n, [
      stored('Backend', 'acme', 'sample', { mcp: { url: url ?? 'http://127.0.0.1/mcp' } }),
      stored('VirtualServer', 'acme', 'sample', { members: [{ backend: 'sample' }] }),
      stored('Route', 'acme', 'sample', {
        ...{ gateway: 'sample', match: { path: '/acme/sample', ...match }, mcp: { virtualServer: 'sample' } },
      }),
      stored('Policy', 'acme', 'sample', policy),
    ]),
    operator.table,
  );
  const route = table?.routes.get('sample');
  if (route?.kind !== 'mcp') throw new Error(`a sample of a feature: ${problems[0]?.message}`);
  return route;
}

function stored(kind: string, tenant: string, name: string, spec: object) {
  const { resource, problems } = decodeDocument({ kind, tenant, name, spec: JSON.parse(JSON.stringify(spec)) });
  if (!resource) throw new Error(`a sample of a feature: ${problems[0]?.message}`);
  return resource.stored;
}
