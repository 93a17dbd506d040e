import type { TenantDemandLimits } from './discovery/tenant-demand.ts';
import type { RemovalLimits, TableLimits } from '@signalbox/config';
import type { HttpServerLimits } from './http/http-server.ts';
import { defaultRequestLimits, type RequestLimits } from './mcp/request-limits.ts';
import { bridgeLimitsOf } from './bridge/settings.ts';
import { handleLimitsOf } from './handles/settings.ts';
import { federationLimitsOf } from './federation/settings.ts';
import { toolSearchLimitsOf } from './tool-search/settings.ts';
import { nodesLimitsOf } from './nodes/settings.ts';
import type { ProxySettings } from './settings.ts';
import type { Http1ClientLimits } from './upstream/http1-client.ts';
import type { Http2ClientLimits } from './upstream/http2-client.ts';

export function removalLimitsOf(settings: ProxySettings): RemovalLimits {
  return { minimum: settings.removalMinimum, percent: settings.removalPercent };
}

export function tableLimitsOf(settings: ProxySettings): TableLimits {
  return {
    resources: settings.maxScopeResources,
    bytes: settings.maxScopeBytes,
    routes: settings.maxRoutesPerTenant,
    rulesPerRoute: settings.maxRulesPerRoute,
  };
}

export function httpServerLimitsOf(settings: ProxySettings): HttpServerLimits {
  return {
    maxHeaderBytes: settings.maxHeaderBytes,
    maxHeaders: settings.maxHeaders,
    maxUrlBytes: settings.maxUrlBytes,
    headersTimeoutMs: settings.headersTimeout,
    requestTimeoutMs: settings.requestTimeout,
    keepAliveTimeoutMs: settings.keepAliveTimeout,
    checkIntervalMs: settings.timeoutCheck,
    writeTimeoutMs: settings.writeTimeout,
    minWriteBytesPerSecond: settings.minWriteRate,
    backlog: settings.backlog,
    maxConnections: settings.maxConnections,
    maxRequestsPerConnection: settings.maxRequestsPerConnection,
    maxStreamsPerConnection: settings.maxStreamsPerConnection,
    streamWindowBytes: settings.streamWindowBytes,
    maxStreamFaults: settings.maxStreamFaults,
  };
}

export function http1ClientLimitsOf(settings: ProxySettings): Http1ClientLimits {
  return {
    maxConnections: settings.maxUpstreamConnections,
    maxWaiting: settings.maxUpstreamWaiting,
    maxIdle: settings.maxUpstreamIdle,
    idleTimeoutMs: settings.upstreamIdleTimeout,
    maxRequestsPerConnection: settings.maxUpstreamRequestsPerConnection,
    maxHeadBytes: settings.maxUpstreamHeadBytes,
    maxPools: settings.maxUpstreamPools,
  };
}

export function http2ClientLimitsOf(settings: ProxySettings): Http2ClientLimits {
  return {
    maxConnections: settings.maxUpstreamConnections,
    maxStreams: settings.maxUpstreamStreams,
    maxWaiting: settings.maxUpstreamWaiting,
    idleTimeoutMs: settings.upstreamIdleTimeout,
    maxRequestsPerConnection: settings.maxUpstreamStreamsPerConnection,
    maxHeadBytes: settings.maxUpstreamHeadBytes,
    windowBytes: settings.upstreamWindowBytes,
    maxPools: settings.maxUpstreamPools,
  };
}

export function tenantDemandLimitsOf(settings: ProxySettings): TenantDemandLimits {
  const { maxTenantsOnDemand: tenants, maxTenantWaits: waiting } = settings;
  const { tenantWait: waitMs, tenantIdle: idleMs, tenantRetry: retryMs } = settings;
  return { tenants, waiting, waitMs, idleMs, retryMs };
}

export function requestLimitsOf(settings: ProxySettings): RequestLimits {
  return {
    ...defaultRequestLimits,
    bodyBytes: settings.maxBodyBytes,
    requestScan: {
      maxDepth: settings.maxDepth,
      maxKeys: settings.maxKeys,
      maxElements: settings.maxElements,
      maxStringBytes: settings.maxStringBytes,
      maxBatch: settings.maxBatch,
    },
    heldAnswerBytes: settings.maxHeldAnswerBytes,
    wholeAnswerBytes: settings.maxWholeAnswerBytes,
    listMemoryBytes: settings.listMemory,
    eventBytes: settings.maxEventBytes,
    streamBufferBytes: settings.streamBufferBytes,
    tokenBytes: settings.maxTokenBytes,
    verifiedTokens: settings.maxVerifiedTokens,
    verifiedTokenMs: settings.verifiedTokenAge,
    keySets: settings.maxKeySets,
    keySetBytes: settings.maxKeySetBytes,
    keySetKeys: settings.maxKeySetKeys,
    keySetRefetchMs: settings.keySetRefetch,
    keySetFreshMs: settings.keySetFresh,
    keySetStaleMs: settings.keySetStale,
    sessionMs: settings.sessionAge,
    sessionIdleMs: settings.sessionIdle,
    // Without keys of their own no other node can open them.
    endsIdleSessions: settings.sessionKeys === undefined || settings.endIdleSessions,
    openedSessions: settings.maxSessions,
    endedSessions: settings.maxEndedSessions,
    inFlightPerSession: settings.maxInFlightPerSession,
    connectMs: settings.connectTimeout,
    headMs: settings.headTimeout,
    idleMs: settings.idleTimeout,
    callMs: settings.callTimeout,
    streamMs: settings.streamAge,
    keepAliveMs: settings.streamKeepAlive,
    drainRetryMs: settings.drainRetry,
    eraHorizonMs: settings.eraHorizon,
    backends: settings.maxBackends,
    toolsPerBackend: settings.maxToolsPerBackend,
    bridge: bridgeLimitsOf(settings),
    handles: handleLimitsOf(settings),
    httpSseClients: settings.httpSseClients,
    federation: federationLimitsOf(settings),
    toolSearch: toolSearchLimitsOf(settings, settings.slice),
    nodes: nodesLimitsOf(settings),
    rateLimitBuckets: settings.maxRateLimitBuckets,
    cardBytes: settings.maxCardBytes,
  };
}
