/** A backend, compiled. */
export interface BackendEntry {
  readonly tenant: string;
  readonly name: string;
  /** Key of what outlives a table (pools, era verdicts, catalogs): equal for equal tenant, name and content. */
  readonly key: string;
  readonly kind: BackendKind;
  readonly url: string;
  /** Where the card of an A2A agent is; empty for other kinds. */
  readonly cardUrl: string;
  /** What differs from TLS as the data plane speaks it by itself; null if nothing does. */
  readonly tls: UpstreamTlsEntry | null;
  readonly connection: ConnectionEntry;
  readonly http: HttpVersion;
  /** Of an MCP server; `auto` for other kinds. */
  readonly transport: McpTransport;
}

/** How an MCP server is spoken to; `auto`: that is found out. */
export type McpTransport = 'auto' | 'streamable-http' | 'http-sse';

/** Version of HTTP that is spoken to a backend; `negotiated`: HTTP/2 if its TLS handshake agrees on it (ALPN), else 1.1. */
export type HttpVersion = 'http1' | 'http2' | 'negotiated';

export type BackendKind = 'mcp' | 'http' | 'grpc' | 'a2a';

export interface UpstreamTlsEntry {
  /** Name in SNI and in the server's certificate; empty for the host of the URL. */
  readonly hostname: string;
  /** PEM; empty for the authorities of the system. */
  readonly caCertificates: string;
  /** False: the server's certificate is not checked. */
  readonly verify: boolean;
  /** Name of the certificate shown to the server; empty for none. */
  readonly clientCertificate: string;
}

/** Bounds for each node; null for the data plane's default. */
export interface ConnectionEntry {
  readonly connectMs: number | null;
  readonly idleMs: number | null;
  readonly maxConnections: number | null;
  readonly maxPending: number | null;
}
