import { EventIds, type Recorder } from '@signalbox/audit';
import type { ForwardRouteEntry } from '@signalbox/config';
import type { Clock, Logger, Metrics, Random } from '@signalbox/runtime';
import type { TenantDemand } from '../discovery/tenant-demand.ts';
import { HiddenNames } from '../federation/hidden-names.ts';
import { FederatedSessions } from '../federation/legs.ts';
import { ListCursors } from '../federation/list-cursor.ts';
import { MemberHealth } from '../federation/member-health.ts';
import { MemberIds } from '../federation/member-ids.ts';
import { MemberNames } from '../federation/member-names.ts';
import { createBridges } from '../bridge/bridges.ts';
import { Handles } from '../handles/handles.ts';
import type { Exchange } from '../http/exchange.ts';
import { SseClients } from '../http-sse-clients/sse-clients.ts';
import { LocalConcurrency } from '../limits/local-concurrency.ts';
import { LocalRateLimit } from '../limits/local-rate-limit.ts';
import { NodeCalls } from '../nodes/node-calls.ts';
import type { SharedState } from '../nodes/shared-state.ts';
import { Resumption } from '../resume/resumption.ts';
import { KeySets } from '../session/key-sets.ts';
import { SessionSeal } from '../session/sealed-session.ts';
import type { SessionKeys } from '../session/session-keys.ts';
import { Sessions } from '../session/sessions.ts';
import { TokenVerifier } from '../session/token-verifier.ts';
import type { Admission, TableSource } from '../table/admission.ts';
import type { OpenStreams } from '../table/open-streams.ts';
import { MemberTools } from '../tool-search/member-tools.ts';
import { ToolIndex } from '../tool-search/tool-index.ts';
import { SpareBuffers } from '../upstream/spare-buffers.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { hearCancellations } from './cancelled.ts';
import { Catalog } from './catalog.ts';
import type { UsualTimeouts } from './endpoint.ts';
import { EraProbe } from './era-probe.ts';
import { IsoTimes } from './iso-times.ts';
import { KeepAlive } from './keep-alive.ts';
import { ListMemory } from './list-memory.ts';
import { ParamHeaders } from './param-headers.ts';
import { RequestIds } from './request-id.ts';
import type { RequestLimits } from './request-limits.ts';
import { RequestMetrics } from './request-metrics.ts';
import { RouteStates } from './route-state.ts';

/** What the request path is built from. */
export interface RequestPathDeps {
  readonly tables: TableSource;
  /** The gateway that this node serves. */
  readonly gateway: string;
  /** Name of this node, for outcome events. */
  readonly node: string;
  readonly upstream: Upstream;
  readonly recorder: Recorder;
  readonly streams: OpenStreams;
  readonly sessionKeys: SessionKeys;
  /** How members of virtual servers do; undefined: nobody else looks at it. */
  readonly memberHealth?: MemberHealth | undefined;
  /** What this node shares with others. */
  readonly state: SharedState;
  /** Loads tenants when they are asked for; undefined: all that there are have been. */
  readonly demand?: Pick<TenantDemand, 'want' | 'use' | 'release'> | undefined;
  readonly limits: RequestLimits;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Serves a request on a route of another kind than MCP, and ends its admission. Never throws. */
export type ServeOther = (exchange: Exchange, admission: Admission, entry: ForwardRouteEntry) => void;

/** What all requests of a node share: the dependencies, and what is remembered from one request to the next. */
export interface Services extends RequestPathDeps {
  readonly serveOther: ServeOther;
  /** The node stops: servers are told what nobody will come back for. */
  readonly leave: () => Promise<void>;
  readonly routes: RouteStates;
  readonly rateLimit: LocalRateLimit;
  readonly concurrency: LocalConcurrency;
  readonly tokens: TokenVerifier;
  readonly sessions: Sessions;
  readonly nodeCalls: NodeCalls;
  readonly resumption: Resumption;
  readonly eras: EraProbe;
  readonly memberHealth: MemberHealth;
  readonly memberNames: MemberNames;
  readonly memberTools: MemberTools;
  readonly toolIndex: ToolIndex;
  readonly memberIds: MemberIds;
  readonly hiddenNames: HiddenNames;
  readonly listCursors: ListCursors;
  readonly federatedSessions: FederatedSessions;
  readonly paramHeaders: ParamHeaders;
  readonly handles: Handles;
  readonly sseClients: SseClients;
  readonly catalog: Catalog;
  readonly keepAlive: KeepAlive;
  readonly requestIds: RequestIds;
  readonly eventIds: EventIds;
  readonly requestMetrics: RequestMetrics;
  readonly isoTimes: IsoTimes;
  /** What callers saw of lists. */
  readonly listMemory: ListMemory;
  /** Memory that answers are rewritten into. */
  readonly answerBuffers: SpareBuffers;
}

/** @param serveOther is called with requests only after this has returned. */
export function createServices(deps: RequestPathDeps, serveOther: ServeOther): Services {
  const { clock, limits, random, sessionKeys, metrics, state } = deps;
  const { connectMs, headMs, callMs, streamMs } = limits;
  const usual: UsualTimeouts = {
    callTimeouts: { connectMs, headMs, idleMs: callMs, totalMs: callMs },
    // A stream may be silent for its whole life: no idle timeout ends a quiet one.
    streamTimeouts: { connectMs, headMs, idleMs: streamMs, totalMs: streamMs },
  };
  const tokens = new TokenVerifier({ keySets: new KeySets(deps), clock, limits });
  const nodeCalls = new NodeCalls({ ...deps, limits: limits.nodes });
  const bridges = createBridges({ ...deps, nodeCalls });
  const federatedSessions = new FederatedSessions();
  const sessions = new Sessions({
    seal: new SessionSeal(sessionKeys, random),
    state,
    clock,
    idleMs: limits.sessionIdleMs,
    maxOpened: limits.openedSessions,
    maxEnded: limits.endedSessions,
    maxInFlight: limits.inFlightPerSession,
    onEndedElsewhere: (session) => {
      bridges.endSession(session.facts.upstreamId);
      federatedSessions.endedElsewhere(session);
    },
  });
  hearCancellations(nodeCalls, sessions);
  return {
    ...deps,
    nodeCalls,
    resumption: new Resumption({ ...deps, nodeCalls, limits: limits.nodes }),
    upstream: bridges.upstream,
    leave: () => bridges.leave(),
    serveOther,
    rateLimit: new LocalRateLimit({ maxBuckets: limits.rateLimitBuckets, clock, metrics }),
    concurrency: new LocalConcurrency(metrics),
    routes: new RouteStates(tokens, usual),
    tokens,
    sessions,
    eras: new EraProbe(deps),
    memberHealth: deps.memberHealth ?? new MemberHealth(deps, limits.federation, limits.backends),
    memberNames: new MemberNames(limits.backends, limits.toolsPerBackend),
    memberTools: new MemberTools(limits.toolSearch),
    toolIndex: new ToolIndex(clock, limits.toolSearch.sliceMs),
    memberIds: new MemberIds(sessionKeys),
    hiddenNames: new HiddenNames(deps),
    listCursors: new ListCursors(sessionKeys, random),
    federatedSessions,
    paramHeaders: new ParamHeaders(limits),
    handles: new Handles(deps, limits.handles),
    sseClients: new SseClients(limits.httpSseClients, random),
    catalog: new Catalog(limits.backends, limits.toolsPerBackend),
    keepAlive: new KeepAlive(clock, limits.keepAliveMs),
    requestIds: new RequestIds(random),
    eventIds: new EventIds(clock.now(), random.bytes(3).toString('hex')),
    requestMetrics: new RequestMetrics(metrics),
    isoTimes: new IsoTimes(),
    listMemory: new ListMemory(limits.listMemoryBytes),
    answerBuffers: new SpareBuffers(),
  };
}
