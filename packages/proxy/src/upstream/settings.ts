import { defaultRequestLimits } from '../mcp/request-limits.ts';
import { bytes, count, ms } from '../setting-kinds.ts';
import { defaultHttp1ClientLimits } from './http1-client.ts';

const client = defaultHttp1ClientLimits;
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
    'Requests on a connection to a backend.',
  ),
  maxUpstreamHeadBytes: bytes(
    'SIGNALBOX_PROXY_MAX_UPSTREAM_HEAD_BYTES',
    client.maxHeadBytes,
    'Status line and headers of an upstream’s answer.',
  ),
  maxUpstreamPools: count(
    'SIGNALBOX_PROXY_MAX_UPSTREAM_POOLS',
    client.maxPools,
    'Connection pools; the one unused for longest gives way.',
  ),
} as const;
