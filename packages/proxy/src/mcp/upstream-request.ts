import type { UpstreamRequest } from '../upstream/upstream.ts';
import type { Call } from './call.ts';
import type { Endpoint } from './endpoint.ts';
import { encodeHeaderValue } from './header-value.ts';

/** A POST to the route's backend. */
export function postRequest(
  call: Call,
  { origin, target, backend }: Endpoint,
  headers: readonly string[],
  body: Buffer,
): UpstreamRequest {
  return {
    origin,
    poolKey: backend.key,
    peer: backend,
    method: 'POST',
    target,
    headers,
    body,
    safeToResend: call.rule?.repeatable ?? false,
    legacyFor: call.isForLegacy ? call.credential?.principal.id : undefined,
    timeouts: call.rule?.special === 'listen' ? call.services.streamTimeouts : call.services.callTimeouts,
  };
}

/** A request without body on the legacy session: GET or DELETE. */
export function sessionRequest(
  call: Call,
  { origin, target, backend }: Endpoint,
  headers: readonly string[],
): UpstreamRequest {
  const isGet = call.kind === 'get';
  const { streamTimeouts, callTimeouts } = call.services;
  return {
    origin,
    poolKey: backend.key,
    peer: backend,
    method: isGet ? 'GET' : 'DELETE',
    target,
    headers,
    body: undefined,
    safeToResend: true,
    timeouts: isGet ? streamTimeouts : callTimeouts,
  };
}

/** Headers of a request that go on to the upstream as they came; all others stay here. */
const tracing = ['traceparent', 'tracestate'] as const;

/** Adds the caller's trace to headers; returns them as they are when there is none. */
export function withTrace(call: Call, headers: readonly string[]): readonly string[] {
  const { head } = call.exchange;
  if (head.header('traceparent') === undefined) return headers;
  const all = [...headers];
  for (const name of tracing) {
    const value = head.header(name);
    if (value !== undefined) all.push(name, value);
  }
  return all;
}

/** What such headers say of the caller's trace. */
export function traceOf(headers: readonly string[]): readonly string[] {
  const found: string[] = [];
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] as string;
    if (name === tracing[0] || name === tracing[1]) found.push(name, headers[at + 1] as string);
  }
  return found;
}

/** Headers of a modern POST: the standard ones, which the door has compared with the body, and every `Mcp-Param-*`. */
export function modernHeaders(call: Call): readonly string[] {
  const { head } = call.exchange;
  const headers = ['Content-Type', 'application/json', 'Accept', 'application/json, text/event-stream'];
  headers.push('MCP-Protocol-Version', call.version, 'Mcp-Method', call.method);
  const name = call.ownName === undefined ? head.header('mcp-name') : encodeHeaderValue(call.ownName);
  if (name !== undefined) headers.push('Mcp-Name', name);
  headers.push(...head.withPrefix('mcp-param-'));
  return withTrace(call, headers);
}
