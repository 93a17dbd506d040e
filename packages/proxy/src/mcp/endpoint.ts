import { createHash } from 'node:crypto';
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

/** How a backend is known in what is sealed: another URL is another backend. */
export function backendDigest({ key }: BackendEntry): string {
  return createHash('sha256').update(key).digest('base64url').slice(0, digestLength);
}

const digestLength = 12;
