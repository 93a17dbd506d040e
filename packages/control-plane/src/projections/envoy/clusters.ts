import { ApiVersion } from '@signalbox/proto/envoy/config/core/v3/config_source_pb.ts';
import { Cluster_DiscoveryType, ClusterSchema } from '@signalbox/proto/envoy/config/cluster/v3/cluster_pb.ts';
import { SubjectAltNameMatcher_SanType } from '@signalbox/proto/envoy/extensions/transport_sockets/tls/v3/common_pb.ts';
import { UpstreamTlsContextSchema } from '@signalbox/proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import type { PlainResource } from '@signalbox/xds';
import { loadAssignment } from './endpoints.ts';
import type { EnvoyOptions } from './options.ts';
import { pack, resource, seconds } from './pack.ts';
import { stringMatcher } from './permission.ts';
import type { Upstream } from './upstream.ts';

/** Everything of ADS, in its third version: Envoy refuses nested sources that do not say so. */
export const adsSource = {
  configSourceSpecifier: { case: 'ads' as const, value: {} },
  resourceApiVersion: ApiVersion.V3,
};

const connectTimeoutS = 5;

/** CDS: how Envoy connects to an upstream. Names are resolved there, addresses come by EDS. */
export function clusterResource(upstream: Upstream, options: EnvoyOptions): PlainResource {
  const { cluster: name, tls, literal } = upstream;
  return resource(ClusterSchema, name, {
    name,
    connectTimeout: seconds(connectTimeoutS),
    ...(tls ? { transportSocket: tlsSocket(upstream, options) } : {}),
    ...(literal
      ? { clusterDiscoveryType: type(Cluster_DiscoveryType.EDS), edsClusterConfig: { edsConfig: adsSource } }
      : { clusterDiscoveryType: type(Cluster_DiscoveryType.STRICT_DNS), loadAssignment: loadAssignment(upstream) }),
  });
}

function type(value: Cluster_DiscoveryType) {
  return { case: 'type' as const, value };
}

/** Verified against the system's authorities, and for the name that was asked for. */
function tlsSocket({ host, literal }: Upstream, { trustedCaFile }: EnvoyOptions) {
  const sanType = literal ? SubjectAltNameMatcher_SanType.IP_ADDRESS : SubjectAltNameMatcher_SanType.DNS;
  const validation = {
    trustedCa: { specifier: { case: 'filename' as const, value: trustedCaFile } },
    matchTypedSubjectAltNames: [{ sanType, matcher: stringMatcher({ is: 'exact', text: host }) }],
  };
  const typedConfig = pack(UpstreamTlsContextSchema, {
    sni: literal ? '' : host,
    commonTlsContext: { validationContextType: { case: 'validationContext', value: validation } },
  });
  return { name: 'envoy.transport_sockets.tls', configType: { case: 'typedConfig' as const, value: typedConfig } };
}
