import {
  type Backend,
  Backend_HttpVersion,
  McpBackend_Transport,
} from '@signalbox/proto/signalbox/config/v1/backend_pb.ts';
import { UpstreamTls_Verification, type UpstreamTls } from '@signalbox/proto/signalbox/config/v1/upstream_tls_pb.ts';
import type { ProblemList } from '../problem.ts';
import { certificatesFault } from './certificates.ts';
import { durationFault, durationMs } from './duration.ts';
import { hostFault } from './host.ts';
import { nameFault } from './name.ts';
import { urlFault } from './url.ts';

const verifications: readonly UpstreamTls_Verification[] = Object.values(UpstreamTls_Verification);
const transports: readonly McpBackend_Transport[] = Object.values(McpBackend_Transport).filter(
  (value) => typeof value === 'number',
);
const httpVersions: readonly Backend_HttpVersion[] = Object.values(Backend_HttpVersion);
const limits = { certificates: 64 * 1024, connections: 10_000, pending: 100_000 };

/** What a Backend must be by itself: of one kind, with an URL that may be called, and bounds that make sense. */
export function checkBackend(backend: Backend, found: ProblemList): void {
  const { kind, tls, timeouts, connections } = backend;
  if (kind.case === undefined) {
    found.error('missing-field', 'spec', 'needs a kind of backend: mcp, http, grpc or a2a');
    return;
  }
  const { url } = kind.value;
  found.require(`spec.${kind.case}.url`, url, kind.case === 'mcp' ? urlFault : baseUrlFault);
  if (kind.case === 'grpc') found.check('spec.grpc.url', pathFaultOf(url));
  if (kind.case === 'a2a' && kind.value.cardUrl !== '') {
    found.check('spec.a2a.cardUrl', cardUrlFault(kind.value.cardUrl, url));
  }
  if (kind.case === 'mcp' && !transports.includes(kind.value.transport)) {
    found.error('invalid-value', 'spec.mcp.transport', 'must be AUTO, STREAMABLE_HTTP or HTTP_SSE');
  }
  checkHttp(backend, found);
  if (tls !== undefined) checkTls(tls, url, found);
  found.check('spec.timeouts.connect', connectFault(timeouts?.connect ?? ''));
  found.check('spec.timeouts.idle', durationFault(timeouts?.idle ?? ''));
  found.check('spec.connections.maxConnections', overFault(connections?.maxConnections, limits.connections));
  found.check('spec.connections.maxPendingRequests', overFault(connections?.maxPendingRequests, limits.pending));
}

function checkHttp({ kind, httpVersion }: Backend, found: ProblemList): void {
  if (!httpVersions.includes(httpVersion))
    found.error('invalid-value', 'spec.httpVersion', 'must be AUTO, HTTP1 or HTTP2');
  if (kind.case === 'grpc' && httpVersion === Backend_HttpVersion.HTTP1) {
    found.error('invalid-value', 'spec.httpVersion', 'must not be HTTP1: gRPC needs HTTP/2');
  }
}

/** A URL whose path is a base: nothing may stand behind the path. */
function baseUrlFault(text: string): string | undefined {
  return urlFault(text) ?? (text.includes('?') ? 'must not contain a query' : undefined);
}

function pathFaultOf(url: string): string | undefined {
  if (!URL.canParse(url) || new URL(url).pathname === '/') return undefined;
  return 'must not contain a path: gRPC paths are forwarded as they are';
}

function cardUrlFault(cardUrl: string, url: string): string | undefined {
  const fault = urlFault(cardUrl);
  if (fault !== undefined || !URL.canParse(url)) return fault;
  return new URL(cardUrl).origin === new URL(url).origin ? undefined : 'must have the same origin as spec.a2a.url';
}

function checkTls(tls: UpstreamTls, url: string, found: ProblemList): void {
  const { hostname, caCertificates, verification, clientCertificate } = tls;
  if (/^http:/i.test(url)) found.error('invalid-value', 'spec.tls', 'is only for https URLs');
  if (hostname !== '') found.check('spec.tls.hostname', serverNameFault(hostname));
  if (caCertificates.length > limits.certificates) {
    const message = `has ${caCertificates.length} characters; at most ${limits.certificates} are allowed`;
    found.error('limit-exceeded', 'spec.tls.caCertificates', message);
  } else if (caCertificates !== '') {
    found.check('spec.tls.caCertificates', certificatesFault(caCertificates));
  }
  if (!verifications.includes(verification)) {
    found.error('invalid-value', 'spec.tls.verification', 'must be VERIFY or INSECURE');
  }
  if (verification === UpstreamTls_Verification.INSECURE) {
    found.warn('invalid-value', 'spec.tls.verification', 'INSECURE: whoever is in between can read and change all');
    if (caCertificates !== '') {
      found.error('invalid-value', 'spec.tls.caCertificates', 'is not used when verification is INSECURE: remove one');
    }
  }
  if (clientCertificate !== '') found.check('spec.tls.clientCertificate', nameFault(clientCertificate));
}

/** Names in SNI are DNS names (RFC 6066 section 3). */
function serverNameFault(text: string): string | undefined {
  return hostFault(text) ?? (/^[\d.]+$|^\[/.test(text) ? 'must be a DNS name, not an address' : undefined);
}

function connectFault(text: string): string | undefined {
  return durationFault(text) ?? (text !== '' && durationMs(text) === 0 ? 'must be longer than 0s' : undefined);
}

function overFault(value: number | undefined, limit: number): string | undefined {
  return value !== undefined && value > limit ? `must be at most ${limit}` : undefined;
}
