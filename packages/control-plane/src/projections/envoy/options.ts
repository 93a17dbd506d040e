/** What a projection needs to know of the machines on which Envoy runs. */
export interface EnvoyOptions {
  /** Address of all listeners. */
  readonly bindAddress: string;
  /** File with the certificates of authorities, against which upstreams are verified. */
  readonly trustedCaFile: string;
  /** Folder with `<tenant>/<name>/tls.crt` and `tls.key` of certificates that backends are shown. */
  readonly certificatesFolder: string;
  /** A larger message is refused. Envoy allows 10 MiB at most. */
  readonly maxMessageBytes: number;
  /** It has the filters for MCP, of 1.40. Without them it denies routes of MCP. */
  readonly hasMcpFilters: boolean;
}

export const defaultEnvoyOptions: EnvoyOptions = Object.freeze({
  bindAddress: '0.0.0.0',
  trustedCaFile: '/etc/ssl/certs/ca-certificates.crt',
  certificatesFolder: '/etc/signalbox/certificates',
  maxMessageBytes: 4 * 1024 * 1024,
  hasMcpFilters: true,
});
