import { gatewayNamespace } from './names.ts';

/** Where an agentgateway finds discovery, and who it says it is. */
export interface AgentgatewayBootstrapOptions {
  readonly nodeId: string;
  /** Name of the Gateway that it serves. */
  readonly gateway: string;
  readonly discovery: { readonly host: string; readonly port: number; readonly tls: boolean };
  /** File with the node's token and nothing else, not even a line break. It is read again now and then. */
  readonly tokenFile: string;
  /** File with certificates of authorities, to verify discovery with TLS. */
  readonly trustedCaFile: string;
  /** 64 hexadecimal digits: seals its sessions, and is the same on all nodes of a gateway. */
  readonly sessionKey: string;
}

/**
 * The environment with which a stock agentgateway starts, and its arguments: all else comes by delta ADS. Without a
 * locality it would wait for an entry of itself among the workloads of a mesh, and never be ready.
 */
export function agentgatewayBootstrap(options: AgentgatewayBootstrapOptions): {
  readonly environment: Readonly<Record<string, string>>;
  readonly arguments: readonly string[];
} {
  const { nodeId, gateway, discovery, tokenFile, trustedCaFile, sessionKey } = options;
  const host = discovery.host.includes(':') ? `[${discovery.host}]` : discovery.host;
  return {
    environment: {
      XDS_ADDRESS: `${discovery.tls ? 'https' : 'http'}://${host}:${discovery.port}`,
      ...(discovery.tls ? { XDS_ROOT_CA: trustedCaFile } : {}),
      XDS_AUTH_TOKEN: tokenFile,
      NAMESPACE: gatewayNamespace,
      GATEWAY: gateway,
      POD_NAME: nodeId,
      INSTANCE_IP: '127.0.0.1',
      LOCALITY: 'local/local',
      SESSION_KEY: sessionKey,
    },
    arguments: ['-c', '{}'],
  };
}
