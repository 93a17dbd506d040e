import type { Server } from 'node:net';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { createRecorder, JsonLinesSink, type Recorder } from '@signalbox/audit';
import {
  boundYoungSpace,
  type Clock,
  Lifecycle,
  type Logger,
  Metrics,
  type Part,
  type Random,
  systemClock,
  systemRandom,
  TlsFiles,
} from '@signalbox/runtime';
import { AdminServer } from './admin/admin-server.ts';
import { configDump } from './admin/config-dump.ts';
import { judgeReadiness } from './admin/readiness.ts';
import { observeProcess } from './admin/process-metrics.ts';
import { Activation } from './discovery/activation.ts';
import { CatalogExplorer } from './catalog/explorer.ts';
import { ConfigSource } from './discovery/config-source.ts';
import { ControlPlaneConnection } from './discovery/control-plane-connection.ts';
import { LastGood } from './discovery/last-good.ts';
import { readOrCreateNodeId } from './discovery/node-id.ts';
import { Subscriber } from './discovery/subscriber.ts';
import { TenantDemand } from './discovery/tenant-demand.ts';
import { drainRequests, requestShare } from './drain.ts';
import type { Exchange } from './http/exchange.ts';
import { createHttpServer } from './http/http-codecs.ts';
import {
  http1ClientLimitsOf,
  http2ClientLimitsOf,
  httpServerLimitsOf,
  removalLimitsOf,
  requestLimitsOf,
  tableLimitsOf,
  tenantDemandLimitsOf,
} from './limits.ts';
import { Listeners, type OpenListener, type SocketSource } from './listeners.ts';
import { NodeReporter } from './health/node-reporter.ts';
import { OutcomeCounter } from './health/outcome-counts.ts';
import type { RequestPathDeps } from './mcp/services.ts';
import { MemberHealth } from './federation/member-health.ts';
import { MemberReports } from './federation/member-reports.ts';
import { createRequestHandler, type RequestHandler } from './phases/phases.ts';
import type { StateChannel } from './nodes/between-workers/worker-state.ts';
import { openSharedState } from './nodes/open-shared-state.ts';
import type { SharedState } from './nodes/shared-state.ts';
import { Overload } from './overload/overload.ts';
import { memoryShare } from './overload/memory-share.ts';
import { overloadLimitsOf } from './overload/settings.ts';

import { refusalRecorder } from './phases/record-refused.ts';
import { randomSessionKeys, type SessionKeys } from './session/session-keys.ts';
import type { ProxySettings } from './settings.ts';
import type { TableSource } from './table/admission.ts';
import { CurrentTable } from './table/current-table.ts';
import { OpenStreamsRegistry } from './table/open-streams-registry.ts';
import { TimeSlice } from './table/time-slice.ts';
import { YoungGeneration } from './table/young-generation.ts';
import { ClientCertificates } from './upstream/client-certificates.ts';
import { HttpClient } from './upstream/http-client.ts';
import type { Upstream } from './upstream/upstream.ts';
import { UpstreamRetention } from './upstream-retention.ts';

export interface StartProxyOptions {
  readonly settings: ProxySettings;
  /** Variables that configuration files may name as `${env:NAME}`. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger: Logger;
  /** It is one of several workers. */
  readonly worker?: WorkerSeat;
}

/** What ties a proxy to the other workers of its machine. */
interface WorkerSeat {
  /** Where listening sockets come from that another worker gave up. */
  readonly sockets: SocketSource;
  /** What workers share when there is no Redis. */
  readonly state: StateChannel;
}

/** A proxy that runs. */
export interface RunningProxy {
  /** Sockets that are open now; those of the first configuration may still come. */
  listeners(): readonly OpenListener[];
  /** `http://host:port` of the admin endpoints. */
  readonly adminUrl: string;
  readonly nodeId: string;
  readonly table: TableSource;
  /** Gives its listening sockets to another process, and accepts nothing more. `stop` comes next. */
  handOver(give: (address: string, socket: Server) => Promise<void>): Promise<void>;
  /**
   * Stops without breaking calls, within the deadline in milliseconds; the settings' own unless given. `acceptMs` is how
   * long it still accepts. @returns false if something was cut off.
   */
  stop(deadlineMs?: number, acceptMs?: number): Promise<boolean>;
}

/**
 * Builds a proxy from its parts and starts it: what was served last is served at once, then the control plane is asked,
 * or, in file mode, the files are read.
 * @throws Error when the settings, the state folder, the admin address or the configuration files cannot be used.
 */
export async function startProxy(options: StartProxyOptions): Promise<RunningProxy> {
  boundYoungSpace();
  const kit = await kitOf(options);
  const serving = servingOf(kit);
  const { settings, clock, logger } = kit;
  const admin = adminOf(kit, serving);
  const stopping = { acceptMs: settings.drainAccept, requestsMs: requestShare(settings.drainDeadline), cutOff: 0 };
  const parts: readonly Part[] = [
    { name: 'TLS files', stop: () => kit.tls?.stop() },
    { name: 'admin', start: () => admin.start(), stop: () => admin.stop() },
    { name: 'recorder', stop: (deadline) => kit.recorder.close(deadline) },
    { name: 'shared state', start: () => kit.shared.start(), stop: () => kit.shared.stop() },
    sourceOf(kit, serving, options.environment ?? {}),
    { name: 'upstream', stop: () => serving.upstream.close() },
    { name: 'overload', start: () => serving.overload.start(), stop: () => serving.overload.stop() },
    {
      name: 'requests',
      start: () => serving.listeners.settled(),
      stop: (deadline) => stopRequests(kit, serving, stopping, deadline),
    },
  ];
  const lifecycle = new Lifecycle(parts, clock, logger);
  await lifecycle.start();
  return {
    listeners: () => serving.listeners.open,
    adminUrl: admin.url,
    nodeId: kit.nodeId,
    table: serving.current,
    handOver: (give) => serving.listeners.handOver(give),
    stop: async (deadlineMs = settings.drainDeadline, acceptMs = settings.drainAccept) => {
      serving.draining = true;
      Object.assign(stopping, { acceptMs, requestsMs: requestShare(deadlineMs) });
      return (await lifecycle.stop(deadlineMs)) && stopping.cutOff === 0;
    },
  };
}

/** What every part is given. */
interface Kit {
  readonly settings: ProxySettings;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly stateFolder: string;
  readonly nodeId: string;
  readonly recorder: OutcomeCounter;
  /** Of the listeners; undefined: they are plaintext. */
  readonly tls: TlsFiles | undefined;
  readonly sessionKeys: SessionKeys;
  /** With other nodes. */
  readonly shared: SharedState;
  readonly worker: WorkerSeat | undefined;
}

async function kitOf(options: StartProxyOptions): Promise<Kit> {
  const { settings, logger, worker, clock = systemClock, random = systemRandom } = options;
  const metrics = new Metrics();
  const stateFolder = resolve(settings.state);
  const proposed = `${hostname()}-${process.pid}`;
  const nodeId = settings.nodeId || (await readOrCreateNodeId(stateFolder, proposed, random));
  const events = recorderOf(settings, stateFolder, { clock, logger, metrics });
  const recorder = new OutcomeCounter(events, settings.reportTenants);
  const kit = {
    settings,
    clock,
    random,
    logger: logger.child({ node: nodeId }),
    metrics,
    stateFolder,
    nodeId,
    recorder,
  };
  const { tlsCert: cert, tlsKey: key } = settings;
  const isSecure = cert !== '' || key !== '';
  const files = { cert, key, ca: [] };
  const open = () => TlsFiles.open({ ...kit, purpose: 'listeners', files, pollMs: settings.tlsPoll });
  const given = settings.sessionKeys?.reveal();
  if (!given) {
    logger.warn('SIGNALBOX_SESSION_KEYS is not set: sessions end with this process and cannot move to another node');
  }
  const shared = await openSharedState({ ...kit, sessionKeys: given, workers: worker?.state });
  const sessionKeys = given ?? randomSessionKeys(random);
  return { ...kit, worker, sessionKeys, shared, tls: isSecure ? await open() : undefined };
}

function recorderOf(
  settings: ProxySettings,
  stateFolder: string,
  kit: Pick<Kit, 'clock' | 'logger' | 'metrics'>,
): Recorder {
  const file = settings.eventsFile === '' ? join(stateFolder, 'events.jsonl') : resolve(settings.eventsFile);
  const sink = new JsonLinesSink({ file, maxBytes: settings.maxEventsFileBytes, maxFiles: settings.maxEventsFiles });
  const { eventBatch: batchSize, eventFlush: flushMs, maxEvents: maxQueued } = settings;
  return createRecorder({ ...kit, sink, maxQueued, batchSize, flushMs });
}

/** What answers requests. */
interface Serving {
  readonly current: CurrentTable;
  readonly streams: OpenStreamsRegistry;
  readonly requests: Pick<RequestHandler, 'leave'>;
  readonly listeners: Listeners;
  readonly overload: Overload;
  readonly upstream: HttpClient;
  readonly memberHealth: MemberHealth;
  readonly members: MemberReports;
  readonly retention: UpstreamRetention;
  /** Undefined: the node holds every tenant that it is given. */
  readonly demand: TenantDemand | undefined;
  draining: boolean;
}

function servingOf(kit: Kit): Serving {
  const { settings, clock, logger, metrics } = kit;
  const current = new CurrentTable();
  const streams = streamsOf(kit);
  const folder = settings.certificates === '' ? '' : resolve(settings.certificates);
  const certificates = new ClientCertificates({ folder, lookMs: settings.tlsPoll, clock, logger });
  const limits = { http1: http1ClientLimitsOf(settings), http2: http2ClientLimitsOf(settings) };
  const upstream = new HttpClient({ ...limits, clock, metrics, certificates });
  const { federation, backends } = requestLimitsOf(settings);
  const memberHealth = new MemberHealth(kit, federation, backends);
  const members = new MemberReports({ health: memberHealth, tables: current, clock, metrics });
  const retention = new UpstreamRetention({
    upstream,
    health: memberHealth,
    delayMs: retentionDelayMs,
    sliceMs: settings.slice,
    clock,
    logger,
  });
  const isOnDemand = settings.tenants === 'on-demand' && settings.config === '';
  const demand = isOnDemand ? new TenantDemand({ ...kit, limits: tenantDemandLimitsOf(settings) }) : undefined;
  const shared = { tables: current, streams, upstream, demand, memberHealth };
  const requests = requestHandlerOf(kit, shared);
  const openCalls = () => listeners.inFlight - streams.size;
  const overload = overloadOf(kit, openCalls);
  const listeners: Listeners = listenersOf(kit, (exchange) => {
    if (overload.admits(exchange)) requests.handle(exchange);
  });
  current.observe({
    onSwap: (_previous, next) => {
      streams.swapped(next);
      listeners.reconcile(next);
    },
    onRetired: () => undefined,
  });
  current.observe(retention);
  observeProcess(metrics, current, streams);
  return {
    ...{ current, streams, requests, listeners, overload, upstream },
    ...{ memberHealth, members, retention, demand, draining: false },
  };
}

/** Idle connections that no table names may stay open this long. */
const retentionDelayMs = 1_000;
/** Wait before a port that could not be opened is tried again. */
const listenRetryMs = 5_000;

function streamsOf({ settings, clock, logger, metrics }: Kit): OpenStreamsRegistry {
  const refused = metrics.counter(
    'signalbox_proxy_streams_refused_total',
    'Streams refused because too many were open.',
  );
  return new OpenStreamsRegistry({
    maxStreams: settings.maxStreams,
    sliceMs: settings.slice,
    clock,
    logger,
    onRefused: () => refused.add(),
  });
}

function requestHandlerOf(
  kit: Kit,
  shared: Pick<RequestPathDeps, 'tables' | 'streams' | 'upstream' | 'demand' | 'memberHealth'>,
): RequestHandler {
  const { settings, nodeId, recorder, clock, random, metrics, logger, sessionKeys, shared: state } = kit;
  return createRequestHandler({
    ...shared,
    gateway: settings.gateway,
    node: nodeId,
    recorder,
    sessionKeys,
    state,
    limits: requestLimitsOf(settings),
    clock,
    random,
    metrics,
    logger,
  });
}

function overloadOf(kit: Kit, openCalls: () => number): Overload {
  const limits = overloadLimitsOf(kit.settings);
  const onRefused = refusalRecorder({ ...kit, node: kit.nodeId, gateway: kit.settings.gateway });
  return new Overload({ ...kit, limits, openCalls, onRefused, memoryShare, onTurnEnd: setImmediate });
}

function listenersOf(kit: Kit, onExchange: (exchange: Exchange) => void): Listeners {
  const { settings, clock, logger, metrics } = kit;
  const limits = httpServerLimitsOf(settings);
  const onRefused = refusalRecorder({ ...kit, node: kit.nodeId, gateway: settings.gateway });
  return new Listeners({
    gateway: settings.gateway,
    address: settings.address,
    replacement: settings.listen,
    sharing: kit.worker?.sockets,
    createServer: (judgeHost) =>
      createHttpServer(
        settings.httpCodec,
        { limits, tls: kit.tls, http2: settings.http2, judgeHost, onRefused, clock, logger, metrics },
        onExchange,
      ),
    drainMs: settings.drainDeadline,
    retryMs: listenRetryMs,
    clock,
    logger,
    metrics,
  });
}

function adminOf({ settings, nodeId, metrics }: Kit, serving: Serving): AdminServer {
  const { current, listeners } = serving;
  return new AdminServer({
    listen: settings.adminListen ?? { host: '127.0.0.1', port: 0 },
    metrics,
    configDump: () => configDump(nodeId, current.value),
    members: () => serving.members.list(),
    readiness: () =>
      judgeReadiness({
        hasTable: current.value !== undefined,
        draining: serving.draining,
        open: listeners.open,
        failed: listeners.failed,
      }),
  });
}

/** Where tables come from: files, when the settings name some, or else the control plane. */
function sourceOf(
  kit: Kit,
  { current, ...serving }: Serving,
  environment: NonNullable<StartProxyOptions['environment']>,
): Part {
  const { settings, clock } = kit;
  const slice = new TimeSlice(clock, settings.slice, new YoungGeneration(clock));
  const activation = new Activation(current, slice, tableLimitsOf(settings));
  if (settings.config !== '') return fileSource(kit, activation, environment);
  return controlPlaneSource(kit, { activation, slice, ...serving });
}

function fileSource(
  kit: Kit,
  activation: Activation,
  environment: NonNullable<StartProxyOptions['environment']>,
): Part {
  const { settings, clock, logger, metrics } = kit;
  const source = new ConfigSource({
    path: resolve(settings.config),
    gateway: settings.gateway,
    variables: (name) => environment[name],
    activation,
    limits: { files: settings.maxConfigFiles, bytes: settings.maxConfigBytes },
    debounceMs: settings.configDebounce,
    pollMs: settings.configPoll,
    clock,
    logger,
    metrics,
  });
  return { name: 'configuration files', start: () => source.start(), stop: () => source.stop() };
}

/** Disk first, then the control plane: a node serves what it served last while it cannot be reached. */
function controlPlaneSource(
  kit: Kit,
  parts: Pick<Serving, 'demand' | 'upstream' | 'memberHealth' | 'members'> & {
    readonly activation: Activation;
    readonly slice: TimeSlice;
  },
): Part {
  const { logger, metrics, settings, clock } = kit;
  const lastGood = lastGoodOf(kit);
  const limits = { scopes: settings.maxScopes, resources: settings.maxScopeResources, bytes: settings.maxScopeBytes };
  const removals = removalLimitsOf(settings);
  const subscriber = new Subscriber({
    ...{ ...parts, lastGood, limits, removals, clock, logger, metrics },
    resubscribe: (changes) => connection?.resubscribe(changes),
  });
  let connection: ControlPlaneConnection | undefined;
  let reporter: NodeReporter | undefined;
  let explorer: CatalogExplorer | undefined;
  return {
    name: 'discovery',
    start: async () => {
      const opened = await ControlPlaneConnection.open({ ...kit, handler: subscriber });
      connection = opened;
      await subscriber.restore(await lastGood.load());
      await opened.start();
      reporter = reporterOf(kit, opened, parts);
      reporter.start();
      explorer = settings.catalog ? explorerOf(kit, opened, parts.upstream) : undefined;
      explorer?.start();
    },
    stop: async (deadline) => {
      await explorer?.stop();
      await reporter?.stop();
      parts.demand?.stop();
      await connection?.stop();
      await lastGood.close(deadline);
    },
  };
}

function reporterOf(
  kit: Kit,
  connection: ControlPlaneConnection,
  { memberHealth, members }: Pick<Serving, 'memberHealth' | 'members'>,
): NodeReporter {
  const { settings, nodeId: node, recorder: counter } = kit;
  const { gateway, reportMs: intervalMs, reportMembers: maxMembers } = settings;
  const reporter = new NodeReporter({
    ...kit,
    ...{ counter, node, gateway, intervalMs, maxMembers },
    members: () => members.list(),
    send: (request) => connection.report(request),
  });
  memberHealth.onChange(() => reporter.soon());
  return reporter;
}

function explorerOf(kit: Kit, controlPlane: ControlPlaneConnection, upstream: Upstream): CatalogExplorer {
  const { settings, nodeId: node } = kit;
  const { gateway, catalogAsk: askMs, catalogServers: servers, catalogAnswer: answerMs } = settings;
  const limits = requestLimitsOf(settings);
  return new CatalogExplorer({
    ...kit,
    ...{ controlPlane, upstream, node, gateway, askMs, servers, answerMs, limits },
  });
}

function lastGoodOf({ settings, stateFolder, clock, random, logger, metrics }: Kit): LastGood {
  const failed = metrics.counter('signalbox_proxy_last_good_failures_total', 'Sets that could not be written to disk.');
  return new LastGood({
    folder: join(stateFolder, 'last-good'),
    key: settings.stateKey,
    maxFileBytes: 2 * settings.maxScopeBytes,
    maxScopes: settings.maxScopes,
    retryMs: settings.lastGoodRetry,
    clock,
    random,
    logger,
    onWriteFailed: () => failed.add(),
  });
}

/** Servers have this long to hear that sessions are over, in milliseconds. */
const leaveMs = 1_000;

interface Stopping {
  readonly acceptMs: number;
  /** When requests that are still in flight are cut off. */
  readonly requestsMs: number;
  /** How many were. */
  cutOff: number;
}

async function stopRequests(kit: Kit, serving: Serving, stopping: Stopping, deadline: AbortSignal): Promise<void> {
  const { settings, clock, logger } = kit;
  const requestsEnd = new AbortController();
  const end = () => requestsEnd.abort(new Error('drain deadline passed'));
  deadline.addEventListener('abort', end, { once: true });
  using _timer = clock.timer(stopping.requestsMs, end);
  const times = {
    acceptMs: Math.min(stopping.acceptMs, stopping.requestsMs),
    spreadMs: Math.min(settings.drainSpread, stopping.requestsMs / 2),
  };
  const { listeners: intake, streams, requests } = serving;
  stopping.cutOff = await drainRequests({ intake, streams, times, clock, logger }, requestsEnd.signal);
  const left = new AbortController();
  const late = clock.sleep(leaveMs, AbortSignal.any([left.signal, deadline])).catch(() => undefined);
  await Promise.race([requests.leave(), late]);
  left.abort();
  serving.retention.stop();
}
