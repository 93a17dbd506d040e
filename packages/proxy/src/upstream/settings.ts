import { defaultRequestLimits } from '../mcp/request-limits.ts';
import { integer } from '@signalbox/runtime';
import { bound, bytes, count, ms } from '../setting-kinds.ts';
import { defaultHttp1ClientLimits } from './http1-client.ts';
import { defaultHttp2ClientLimits } from './http2-client.ts';

const client = defaultHttp1ClientLimits;
const http2 = defaultHttp2ClientLimits;
const request = defaultRequestLimits;

/** What can be set about connections to upstreams: part of the settings of a proxy. */
export const upstreamSettings = {
  connectTimeout: ms('SIGNALBOX_PROXY_CONNECT_TIMEOUT', request.connectMs, 'Time to connect to an upstream.'),
  headTimeout: ms('SIGNALBOX_PROXY_HEAD_TIMEOUT', request.headMs, 'Time to the head of an upstream’s answer.'),
  idleTimeout: ms('SIGNALBOX_PROXY_IDLE_TIMEOUT', request.idleMs, 'Longest silence within an upstream’s answer.'),
  callTimeout: ms('SIGNALBOX_PROXY_CALL_TIMEOUT', request.callMs, 'Time for a whole call, progress included.'),
  maxUpstreamConnections: count(
    'SIGNALBOX_PROXY_MAX_UPSTREAM_CONNECTIONS',
    client.maxConnections,
    'Connections to a backend.',
  ),
  maxUpstreamWaiting: count(
    'SIGNALBOX_PROXY_MAX_UPSTREAM_WAITING',
    client.maxWaiting,
    'Requests that wait for a connection to a backend.',
  ),
  maxUpstreamIdle: count(
    'SIGNALBOX_PROXY_MAX_UPSTREAM_IDLE',
    client.maxIdle,
    'Idle connections to a backend that are kept.',
  ),
  upstreamIdleTimeout: ms(
    'SIGNALBOX_PROXY_UPSTREAM_IDLE_TIMEOUT',
    client.idleTimeoutMs,
    'How long an idle connection to a backend is kept.',
  ),
  maxUpstreamRequestsPerConnection: count(
    'SIGNALBOX_PROXY_MAX_UPSTREAM_REQUESTS_PER_CONNECTION',
    client.maxRequestsPerConnection,
    'Requests on a connection of HTTP/1.1 to a backend.',
  ),
  maxUpstreamStreams: bound(
    'SIGNALBOX_PROXY_UPSTREAM_HTTP2_STREAMS',
    http2.maxStreams,
    'Requests at a time on a connection of HTTP/2 to a backend; fewer if the backend says so.',
  ),
  maxUpstreamStreamsPerConnection: bound(
    'SIGNALBOX_PROXY_UPSTREAM_HTTP2_REQUESTS_PER_CONNECTION',
    http2.maxRequestsPerConnection,
    'Requests on a connection of HTTP/2 to a backend, until another takes its place.',
  ),
  upstreamWindowBytes: integer({
    name: 'SIGNALBOX_PROXY_UPSTREAM_HTTP2_WINDOW_BYTES',
    fallback: String(http2.windowBytes),
    unit: 'bytes',
    min: 65_535,
    max: 2 ** 31 - 1,
    doc: 'Bytes of an answer that may come over HTTP/2 before they are read.',
  }),
  maxUpstreamHeadBytes: bytes(
    'SIGNALBOX_PROXY_MAX_UPSTREAM_HEAD_BYTES',
    client.maxHeadBytes,
    'Status line and headers of an upstream’s answer; over HTTP/2 its fields, and those of its trailers.',
  ),
  listMemory: bytes(
    'SIGNALBOX_PROXY_LIST_MEMORY',
    request.listMemoryBytes,
    'Lists of MCP servers, with what callers saw of them, that are remembered for when the same come again.',
  ),
  maxUpstreamPools: count(
    'SIGNALBOX_PROXY_MAX_UPSTREAM_POOLS',
    client.maxPools,
    'Connection pools; the one unused for longest gives way.',
  ),
} as const;
