import { createHash } from 'node:crypto';
import type { BackendEntry, CallBounds, Forwarding } from '@signalbox/config';
import type { UpstreamPeer, UpstreamRequest } from '../upstream/upstream.ts';

type Timeouts = UpstreamRequest['timeouts'];

/** Where a backend is reached. */
export interface BackendPlace {
  readonly backend: BackendEntry & UpstreamPeer;
  /** Scheme, host and port. */
  readonly origin: string;
  /** Path and query of its MCP endpoint. */
  readonly target: string;
}

/** The same, with what a route makes of requests there. */
export interface Endpoint extends BackendPlace {
  readonly bounds: EndpointBounds;
}

/** How long things may take there, and how much an answer may be. */
export interface EndpointBounds {
  /** Of messages. */
  readonly message: Timeouts;
  /** Of calls: of tools, resources and prompts. */
  readonly call: Timeouts;
  /** Of what is open for the upstream to say something. */
  readonly stream: Timeouts;
  /** Of the answer to a call; undefined for any number. */
  readonly responseBytes: number | undefined;
}

/** What a node gives messages and streams by itself. */
export interface UsualTimeouts {
  /** A call may be silent for as long as it may take: quiet tools are no failure. */
  readonly callTimeouts: Timeouts;
  readonly streamTimeouts: Timeouts;
}

export function placeOf(backend: BackendEntry): BackendPlace {
  const { origin, pathname, search } = new URL(backend.url);
  return { backend, origin, target: pathname + search };
}

/** @param bounds of policies, one after the other; the tightest hold. */
export function endpointOf(
  backend: BackendEntry,
  { timeouts, requestHeaders }: Forwarding,
  usual: UsualTimeouts,
  bounds: readonly CallBounds[],
): Endpoint {
  const message = withTimeouts(usual.callTimeouts, timeouts);
  const timeoutMs = least(bounds.map((one) => one.timeoutMs));
  return {
    ...placeOf(backend),
    backend: requestHeaders === null ? backend : { ...backend, requestHeaders },
    bounds: {
      message,
      call: timeoutMs === undefined ? message : within(message, timeoutMs),
      stream: timeouts.idleMs === null ? usual.streamTimeouts : idle(usual.streamTimeouts, timeouts.idleMs),
      responseBytes: least(bounds.map((one) => one.responseBytes)),
    },
  };
}

/** No wait is longer. */
const dayMs = 86_400_000;

function withTimeouts(usual: Timeouts, given: Forwarding['timeouts']): Timeouts {
  const { requestMs, backendRequestMs, idleMs } = given;
  if (requestMs === null && backendRequestMs === null && idleMs === null) return usual;
  const totalMs = requestMs === null ? usual.totalMs : requestMs || dayMs;
  return {
    ...usual,
    totalMs,
    headMs: backendRequestMs === null ? usual.headMs : backendRequestMs || dayMs,
    idleMs: idleMs === null ? Math.max(usual.idleMs, totalMs) : idleMs || dayMs,
  };
}

/** Also of its parts, whose sum has no bound where a client of the other era is asked meanwhile. */
function within(timeouts: Timeouts, ms: number): Timeouts {
  const { headMs, idleMs, totalMs } = timeouts;
  const total = totalMs === 0 ? ms : Math.min(totalMs, ms);
  return { ...timeouts, headMs: Math.min(headMs, ms), idleMs: Math.min(idleMs, ms), totalMs: total };
}

function idle(timeouts: Timeouts, ms: number): Timeouts {
  return { ...timeouts, idleMs: ms || dayMs };
}

function least(numbers: readonly (number | null)[]): number | undefined {
  const given = numbers.filter((number) => number !== null);
  return given.length === 0 ? undefined : Math.min(...given);
}

/** How a backend is known in what is sealed: another URL is another backend. */
export function backendDigest({ key }: BackendEntry): string {
  return createHash('sha256').update(key).digest('base64url').slice(0, digestLength);
}

const digestLength = 12;
