import type { HeaderChanges } from '@signalbox/config';
import type { RequestHead } from '../http/exchange.ts';
import { changedHeaders } from '../http/header-changes.ts';
import type { UpstreamHead } from '../upstream/upstream.ts';

/** Fields that are about one connection (RFC 9110 §7.6.1), or that each hop writes by itself. */
const hopByHop = [
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'],
  ...['content-length', 'proxy-authenticate', 'proxy-authorization'],
];

/**
 * Not for backends: credentials of the caller, and what only the gateway can know about the way here. Cookies are set for
 * the gateway's host and so would reach other tenants.
 */
const keptFromUpstream: ReadonlySet<string> = new Set([
  ...hopByHop,
  ...['host', 'expect', 'authorization', 'cookie'],
  ...['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'],
]);

/** Not for callers: what would be about the gateway's host or its credentials; our codec writes the date. */
const keptFromClient: ReadonlySet<string> = new Set([
  ...hopByHop,
  ...['date', 'set-cookie', 'www-authenticate', 'alt-svc'],
]);

/** Header fields for the backend: those of the caller that may go on, changed as the route says. */
export function upstreamHeaders(head: RequestHead, changes: HeaderChanges | null): readonly string[] {
  const headers = passed(head.withPrefix(''), keptFromUpstream, head.header('connection'));
  headers.push('x-forwarded-for', head.remoteAddress, 'x-forwarded-proto', head.secure ? 'https' : 'http');
  headers.push('x-forwarded-host', head.header('host') ?? head.host);
  return changedHeaders(headers, changes);
}

/** The same for gRPC, which needs to be told that trailers are understood. */
export function grpcUpstreamHeaders(head: RequestHead, changes: HeaderChanges | null): readonly string[] {
  return [...upstreamHeaders(head, changes), 'te', 'trailers'];
}

/** Header fields for the caller: those of the backend that may go on, changed as the route says. */
export function clientHeaders(head: UpstreamHead, changes: HeaderChanges | null): readonly string[] {
  return changedHeaders(passed(head.entries(), keptFromClient, head.header('connection')), changes);
}

/** Name, value, name, value … without those that are kept back or named as options of the connection. */
function passed(fields: readonly string[], kept: ReadonlySet<string>, connection: string | undefined): string[] {
  const named =
    connection === undefined
      ? []
      : connection
          .toLowerCase()
          .split(',')
          .map((name) => name.trim());
  const result: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (!kept.has(name) && !named.includes(name)) result.push(name, fields[i + 1] as string);
  }
  return result;
}
