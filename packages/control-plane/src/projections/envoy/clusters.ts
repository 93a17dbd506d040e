import { create } from '@bufbuild/protobuf';
import { ApiVersion } from '@signalbox/proto/envoy/config/core/v3/config_source_pb.ts';
import { CircuitBreakersSchema } from '@signalbox/proto/envoy/config/cluster/v3/circuit_breaker_pb.ts';
import { Cluster_DiscoveryType, ClusterSchema } from '@signalbox/proto/envoy/config/cluster/v3/cluster_pb.ts';
import {
  type CertificateValidationContext,
  CertificateValidationContextSchema,
  SubjectAltNameMatcher_SanType,
} from '@signalbox/proto/envoy/extensions/transport_sockets/tls/v3/common_pb.ts';
import { UpstreamTlsContextSchema } from '@signalbox/proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import { HttpProtocolOptionsSchema } from '@signalbox/proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import type { PlainResource } from '@signalbox/xds';
import { loadAssignment } from './endpoints.ts';
import type { EnvoyOptions } from './options.ts';
import { milliseconds, pack, resource } from './pack.ts';
import { stringMatcher } from './permission.ts';
import { secretName } from './secrets.ts';
import type { Upstream } from './upstream.ts';

/** Everything of ADS, in its third version: Envoy refuses nested sources that do not say so. */
export const adsSource = {
  configSourceSpecifier: { case: 'ads' as const, value: {} },
  resourceApiVersion: ApiVersion.V3,
};

const defaultConnectMs = 5_000;

/** CDS: how Envoy connects to an upstream. Names are resolved there, addresses come by EDS. */
export function clusterResource(upstream: Upstream, options: EnvoyOptions): PlainResource {
  const { cluster: name, tls, literal, connection } = upstream;
  return resource(ClusterSchema, name, {
    name,
    connectTimeout: milliseconds(connection.connectMs ?? defaultConnectMs),
    ...(tls ? { transportSocket: tlsSocket(upstream, options) } : {}),
    ...boundsOf(upstream),
    ...protocolOf(upstream),
    ...(literal
      ? { clusterDiscoveryType: type(Cluster_DiscoveryType.EDS), edsClusterConfig: { edsConfig: adsSource } }
      : { clusterDiscoveryType: type(Cluster_DiscoveryType.STRICT_DNS), loadAssignment: loadAssignment(upstream) }),
  });
}

function type(value: Cluster_DiscoveryType) {
  return { case: 'type' as const, value };
}

/** What is not given is as Envoy has it by itself. */
function boundsOf({ connection: { maxConnections, maxPending } }: Upstream) {
  if (maxConnections === null && maxPending === null) return {};
  const threshold = {
    ...(maxConnections === null ? {} : { maxConnections }),
    ...(maxPending === null ? {} : { maxPendingRequests: maxPending }),
  };
  return { circuitBreakers: create(CircuitBreakersSchema, { thresholds: [threshold] }) };
}

const protocolOptionsName = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

function protocolOf({ http2, connection: { idleMs } }: Upstream) {
  if (!http2 && idleMs === null) return {};
  const config = http2 ? ({ case: 'http2ProtocolOptions', value: {} } as const) : http1;
  const options = pack(HttpProtocolOptionsSchema, {
    upstreamProtocolOptions: { case: 'explicitHttpConfig', value: { protocolConfig: config } },
    ...(idleMs === null ? {} : { commonHttpProtocolOptions: { idleTimeout: milliseconds(idleMs) } }),
  });
  return { typedExtensionProtocolOptions: { [protocolOptionsName]: options } };
}

const http1 = { case: 'httpProtocolOptions', value: {} } as const;

/** Verified against authorities, and for the name that was asked for, unless the backend says otherwise. */
function tlsSocket(upstream: Upstream, options: EnvoyOptions) {
  const { host, literal, ownTls, http2, tenant } = upstream;
  const shown = ownTls?.clientCertificate ?? '';
  const secrets = shown === '' ? [] : [{ name: secretName(tenant, shown), sdsConfig: adsSource }];
  const typedConfig = pack(UpstreamTlsContextSchema, {
    sni: ownTls?.hostname || (literal ? '' : host),
    commonTlsContext: {
      ...(http2 ? { alpnProtocols: ['h2'] } : {}),
      tlsCertificateSdsSecretConfigs: secrets,
      // Without a context nothing is verified.
      ...(ownTls?.verify === false
        ? {}
        : { validationContextType: { case: 'validationContext' as const, value: validation(upstream, options) } }),
    },
  });
  return { name: 'envoy.transport_sockets.tls', configType: { case: 'typedConfig' as const, value: typedConfig } };
}

function validation(
  { host, literal, ownTls }: Upstream,
  { trustedCaFile }: EnvoyOptions,
): CertificateValidationContext {
  const name = ownTls?.hostname || host;
  const byAddress = literal && !ownTls?.hostname;
  const sanType = byAddress ? SubjectAltNameMatcher_SanType.IP_ADDRESS : SubjectAltNameMatcher_SanType.DNS;
  const specifier = ownTls?.caCertificates
    ? { case: 'inlineString' as const, value: ownTls.caCertificates }
    : { case: 'filename' as const, value: trustedCaFile };
  return create(CertificateValidationContextSchema, {
    trustedCa: { specifier },
    matchTypedSubjectAltNames: [{ sanType, matcher: stringMatcher({ is: 'exact', text: name }) }],
  });
}
