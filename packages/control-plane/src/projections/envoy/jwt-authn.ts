import { create } from '@bufbuild/protobuf';
import { EmptySchema } from '@bufbuild/protobuf/wkt';
import type { AuthenticationTable, JwtVerifierConfig, RouteEntry } from '@signalbox/config';
import {
  type JwtAuthentication,
  JwtAuthenticationSchema,
  type JwtProvider,
  JwtProviderSchema,
  type JwtRequirement,
  JwtRequirementSchema,
} from '@signalbox/proto/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts';
import { payloadKey } from './fields.ts';
import { seconds, sortedRecord } from './pack.ts';
import { stringMatcher } from './permission.ts';
import { keySetUpstream } from './upstream.ts';

const clockSkewS = 60;
const maxRemainingLifetimeS = 24 * 60 * 60;
const keySetTimeoutS = 5;
const keySetCacheS = 300;
const cachedTokens = 1_000;

/** What every route of a listener asks of tokens. A route names its requirement, see {@link requirementName}. */
export function jwtAuthentication(routes: readonly RouteEntry[]): JwtAuthentication {
  const providers = new Map<string, JwtProvider>();
  const requirements = new Map<string, JwtRequirement>();
  for (const route of routes) {
    const name = requirementName(route);
    if (name === undefined || requirements.has(name)) continue;
    const verifiers = sortedVerifiers(route.authentication);
    for (const [at, verifier] of verifiers.entries()) providers.set(`${name}/${at}`, provider(verifier));
    requirements.set(name, requirement(name, verifiers.length, route.authentication));
  }
  return create(JwtAuthenticationSchema, {
    providers: sortedRecord(providers),
    requirementMap: sortedRecord(requirements),
  });
}

/** By content, so that a route never meets the requirement of another revision. Undefined when tokens are not accepted. */
export function requirementName({ tenant, authentication }: RouteEntry): string | undefined {
  return authentication.jwt.size === 0 ? undefined : `${tenant}/${authentication.digest}`;
}

function sortedVerifiers({ jwt }: AuthenticationTable): readonly JwtVerifierConfig[] {
  return [...jwt.values()].sort((a, b) => (a.issuer < b.issuer ? -1 : 1));
}

function requirement(name: string, verifiers: number, { anonymous }: AuthenticationTable): JwtRequirement {
  const choices = Array.from({ length: verifiers }, (_, at) =>
    create(JwtRequirementSchema, { requiresType: { case: 'providerName', value: `${name}/${at}` } }),
  );
  if (anonymous) {
    choices.push(create(JwtRequirementSchema, { requiresType: { case: 'allowMissing', value: create(EmptySchema) } }));
  }
  const [only, ...others] = choices;
  if (only && others.length === 0) return only;
  return create(JwtRequirementSchema, { requiresType: { case: 'requiresAny', value: { requirements: choices } } });
}

function provider({ issuer, audiences, jwks }: JwtVerifierConfig): JwtProvider {
  return create(JwtProviderSchema, {
    issuer,
    audiences: [...audiences],
    // Nowhere else: by default a query parameter counts, too.
    fromHeaders: [{ name: 'Authorization', valuePrefix: 'Bearer ' }],
    payloadInMetadata: payloadKey,
    clockSkewSeconds: clockSkewS,
    requireExpiration: true,
    maxLifetime: seconds(maxRemainingLifetimeS),
    subjects: stringMatcher({ is: 'regex', text: '(?s).+' }),
    jwtCacheConfig: { jwtCacheSize: cachedTokens },
    jwksSourceSpecifier:
      'inline' in jwks
        ? { case: 'localJwks', value: { specifier: { case: 'inlineString', value: jwks.inline } } }
        : { case: 'remoteJwks', value: remoteKeySet(jwks.uri) },
  });
}

function remoteKeySet(uri: string) {
  return {
    httpUri: {
      uri,
      httpUpstreamType: { case: 'cluster' as const, value: keySetUpstream(uri).cluster },
      timeout: seconds(keySetTimeoutS),
    },
    cacheDuration: seconds(keySetCacheS),
    asyncFetch: { fastListener: true },
  };
}
