import type { JsonObject } from '@bufbuild/protobuf';

/** Where an Envoy finds discovery, and who it says it is. */
export interface EnvoyBootstrapOptions {
  readonly nodeId: string;
  /** Name of the Gateway that it serves; Envoy calls it its cluster. */
  readonly gateway: string;
  readonly discovery: { readonly host: string; readonly port: number; readonly tls: boolean };
  /** Sent as bearer token when a stream opens. */
  readonly token: string;
  /** Port of Envoy's own administration on 127.0.0.1; 0 for any. */
  readonly adminPort: number;
  /** File with certificates of authorities, to verify discovery with TLS. */
  readonly trustedCaFile: string;
}

/** The configuration with which a stock Envoy starts: all else comes by delta ADS. */
export function envoyBootstrap(options: EnvoyBootstrapOptions): JsonObject {
  const ads = { resource_api_version: 'V3', ads: {} };
  return {
    node: { id: options.nodeId, cluster: options.gateway },
    admin: { address: address('127.0.0.1', options.adminPort) },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [
          {
            envoy_grpc: { cluster_name: discoveryCluster },
            initial_metadata: [{ key: 'authorization', value: `Bearer ${options.token}` }],
          },
        ],
      },
      cds_config: ads,
      lds_config: ads,
    },
    static_resources: { clusters: [cluster(options)] },
    // Patterns of rules are bounded by the projection, which allows larger programs than Envoy's own 100 steps.
    layered_runtime: {
      layers: [{ name: 'signalbox', static_layer: { 're2.max_program_size.error_level': maxProgramSize } }],
    },
  };
}

const discoveryCluster = 'signalbox';
const maxProgramSize = 20_000;

function cluster({ discovery, trustedCaFile }: EnvoyBootstrapOptions): JsonObject {
  const { host, port, tls } = discovery;
  return {
    name: discoveryCluster,
    type: 'STRICT_DNS',
    connect_timeout: '1s',
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        explicit_http_config: {
          http2_protocol_options: { connection_keepalive: { interval: '30s', timeout: '5s' } },
        },
      },
    },
    load_assignment: {
      cluster_name: discoveryCluster,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: address(host, port) } }] }],
    },
    ...(tls ? { transport_socket: tlsSocket(host, trustedCaFile) } : {}),
  };
}

function tlsSocket(host: string, trustedCaFile: string): JsonObject {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
      sni: host,
      common_tls_context: {
        validation_context: {
          trusted_ca: { filename: trustedCaFile },
          match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: host } }],
        },
      },
    },
  };
}

function address(host: string, port: number): JsonObject {
  return { socket_address: { address: host, port_value: port } };
}
