import type { ListenerEntry } from '@signalbox/config';
import type { RequestHead } from './http/exchange.ts';
import type { Refusal } from './http/http-server.ts';

/** Host names and browser origins that a listener answers to. */
export type ListenerHosts = Pick<ListenerEntry, 'hostnames' | 'allowedOrigins'>;

const loopbackOrigin = /^https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/;

/**
 * Keeps pages of other sites away, whatever name they resolve to this machine: Host must be one of the listener's
 * names, and a browser's Origin one of its origins. A request without Origin does not come from a page.
 */
export function judgeListenerHost(hosts: ListenerHosts, head: RequestHead): Refusal | undefined {
  if (!hosts.hostnames.has(head.host)) {
    return { status: 403, reason: 'the Host header names no host of this listener' };
  }
  const origin = head.header('origin');
  if (origin === undefined || allowsOrigin(hosts, origin.toLowerCase())) return undefined;
  return { status: 403, reason: 'requests from this Origin are not allowed' };
}

function allowsOrigin({ allowedOrigins }: ListenerHosts, origin: string): boolean {
  return allowedOrigins === null ? loopbackOrigin.test(origin) : allowedOrigins.has(origin);
}

/** What a port that stands for several listeners answers to: the names of all, and every origin that is listed. */
export function mergeListenerHosts(listeners: readonly ListenerHosts[]): ListenerHosts {
  const hostnames = new Set(listeners.flatMap((listener) => [...listener.hostnames]));
  const listed = listeners.flatMap((listener) => (listener.allowedOrigins ? [listener.allowedOrigins] : []));
  const origins = new Set(listed.flatMap((list) => [...list]));
  return { hostnames, allowedOrigins: listed.length > 0 ? origins : null };
}
