import { type UpstreamTls, UpstreamTls_Verification } from '@signalbox/proto/signalbox/config/v1/upstream_tls_pb.ts';
import { digestOf } from '../digest.ts';
import { type Backend, Backend_HttpVersion } from '@signalbox/proto/signalbox/config/v1/backend_pb.ts';
import type { BackendEntry, ConnectionEntry, HttpVersion, UpstreamTlsEntry } from '../backend-entry.ts';
import { givenMs } from './forwarding.ts';
import { ProblemList } from '../problem.ts';
import { decodeBody } from '../resource.ts';
import type { StoredResource } from '../snapshot.ts';
import { stepSize } from '../steps.ts';
import type { Source } from './source.ts';

/** Compiles all backends; one with the same content in `previous` is taken from there. */
export function* compileBackendsSteps(
  tenant: string,
  sources: ReadonlyMap<string, Source<'Backend'>>,
  previous: ReadonlyMap<string, BackendEntry>,
): Generator<void, ReadonlyMap<string, BackendEntry>> {
  const compiled = new Map<string, BackendEntry>();
  for (const source of sources.values()) {
    const same = previous.get(source.name);
    compiled.set(source.name, same?.key === keyOf(tenant, source) ? same : compileBackend(tenant, source));
    if (compiled.size % stepSize === 0) yield;
  }
  return compiled;
}

/** A backend, which has been checked, as a table has it. */
export function compileBackend(tenant: string, source: Source<'Backend'>): BackendEntry {
  const { name, message } = source;
  const { kind, tls, timeouts, connections } = message;
  const connection: ConnectionEntry = {
    connectMs: givenMs(timeouts?.connect),
    idleMs: givenMs(timeouts?.idle),
    maxConnections: connections?.maxConnections || null,
    maxPending: connections?.maxPendingRequests || null,
  };
  const url = kind.value?.url ?? '';
  return Object.freeze({
    ...{ tenant, name, key: keyOf(tenant, source), kind: kind.case ?? 'mcp', url },
    cardUrl: kind.case === 'a2a' ? kind.value.cardUrl || new URL('/.well-known/agent-card.json', url).href : '',
    tls: tlsEntry(tls),
    connection: Object.freeze(connection),
    http: httpVersion(message, url),
  });
}

function keyOf(tenant: string, { name, digest }: Source<'Backend'>): string {
  return `${tenant}/${name}@${digest}`;
}

/** A Backend by itself, whatever leads to it; undefined if it is not sound. */
export function backendOf(tenant: string, name: string, body: Uint8Array): BackendEntry | undefined {
  const stored: StoredResource & { readonly kind: 'Backend' } = { kind: 'Backend', name, body, digest: digestOf(body) };
  const message = decodeBody(stored, new ProblemList({ kind: 'Backend', scope: tenant, name }));
  return message && compileBackend(tenant, { name, digest: stored.digest, message, problems: [] });
}

/** gRPC has no other version. Without TLS nothing can be agreed on. */
function httpVersion({ kind, httpVersion: declared }: Backend, url: string): HttpVersion {
  if (kind.case === 'grpc' || declared === Backend_HttpVersion.HTTP2) return 'http2';
  return declared === Backend_HttpVersion.HTTP1 || !/^https:/i.test(url) ? 'http1' : 'negotiated';
}

function tlsEntry(tls: UpstreamTls | undefined): UpstreamTlsEntry | null {
  if (tls === undefined) return null;
  const { hostname, caCertificates, verification, clientCertificate } = tls;
  const verify = verification !== UpstreamTls_Verification.INSECURE;
  if (hostname === '' && caCertificates === '' && verify && clientCertificate === '') return null;
  return Object.freeze({ hostname, caCertificates, verify, clientCertificate });
}
