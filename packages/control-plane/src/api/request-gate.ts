import type { IncomingMessage } from 'node:http';

/** Headers of which a request has at most one: of several, client and server could mean different ones. */
const singletons = new Set([
  'host',
  'authorization',
  'content-type',
  'content-length',
  'transfer-encoding',
  'origin',
  'if-match',
]);

/** Why a request is refused before anything looks at it; undefined if it may go on. */
export function refusedAtGate(request: IncomingMessage): { status: 400 | 403 | 415 | 417; reason: string } | undefined {
  const repeated = repeatedHeader(request.rawHeaders);
  if (repeated !== undefined) return { status: 400, reason: `more than one ${repeated} header` };
  const { host, origin, expect } = request.headers;
  if (host === undefined || !['1.1', '2.0'].includes(request.httpVersion))
    return { status: 400, reason: 'HTTP/1.1 with Host, or HTTP/2, is required' };
  // Its status is in trailers, which clients of HTTP/1.1 do not read.
  if (request.httpVersion === '1.1' && /^application\/grpc(?!-web)/i.test(request.headers['content-type'] ?? ''))
    return { status: 415, reason: 'gRPC needs HTTP/2: use that, gRPC-Web or Connect' };
  if (!/^\/(?!\/)[\x21-\x7e]*$/.test(request.url ?? '') || /[#\\]/.test(request.url ?? '')) {
    return { status: 400, reason: 'the request target must be a path' };
  }
  if (expect !== undefined) return { status: 417, reason: 'Expect is not supported' };
  // Browsers name the page that calls. The API is for its own pages only, whatever a foreign host name resolves to.
  if (origin !== undefined && !sameHost(origin, host)) return { status: 403, reason: 'the origin is not this API' };
  return undefined;
}

function repeatedHeader(rawHeaders: readonly string[]): string | undefined {
  const seen = new Set<string>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]?.toLowerCase() ?? '';
    if (!singletons.has(name)) continue;
    if (seen.has(name)) return name;
    seen.add(name);
  }
  return undefined;
}

function sameHost(origin: string, host: string): boolean {
  return URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}
