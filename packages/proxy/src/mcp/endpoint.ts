import type { BackendEntry } from '@signalbox/config';

/** Where a backend is reached. */
export interface Endpoint {
  readonly backend: BackendEntry;
  /** Scheme, host and port. */
  readonly origin: string;
  /** Path and query of its MCP endpoint. */
  readonly target: string;
}

export function endpointOf(backend: BackendEntry): Endpoint {
  const { origin, pathname, search } = new URL(backend.url);
  return { backend, origin, target: pathname + search };
}
