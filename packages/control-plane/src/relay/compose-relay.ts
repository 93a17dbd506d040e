import { hostname } from 'node:os';

import { kinds, typeUrlOf } from '@signalbox/config';
import {
  type Clock,
  type HostPort,
  Lifecycle,
  type Logger,
  Metrics,
  type Part,
  type Random,
  requireProtection,
  systemClock,
  systemRandom,
  TlsFiles,
} from '@signalbox/runtime';
import { AdsClient, type AdsClientTls } from '@signalbox/xds';

import { DiscoveryService } from '../discovery/discovery-service.ts';
import { FleetReporter } from '../discovery/fleet-reporter.ts';
import { NodeAdmission } from '../discovery/node-admission.ts';
import { NodeRegistry } from '../discovery/node-registry.ts';
import { RelayService } from '../discovery/relay-service.ts';
import { discoveryLimits } from '../limits.ts';
import type { Projection } from '../projections/projection.ts';
import { projections as allProjections } from '../projections/projections.ts';
import { Publisher } from '../publish/publisher.ts';
import { ScopedSources } from '../publish/scoped-sources.ts';
import { TenantDirectory } from '../publish/tenant-directory.ts';
import { ViewSource } from '../publish/view-source.ts';
import { DatabaseTime } from '../store/database-time.ts';
import { SnapshotFile } from '../store/snapshot-file.ts';
import { RelayClient } from './relay-client.ts';
import type { RelaySettings } from './settings.ts';
import { StatusServer } from './status-server.ts';
import { UpstreamCredentials } from './upstream-credentials.ts';
import { UpstreamFeed } from './upstream-feed.ts';
import { UpstreamReports } from './upstream-reports.ts';
import { relayUserAgent } from './user-agent.ts';

export interface RelayOptions {
  readonly settings: RelaySettings;
  readonly logger: Logger;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** Default: the machine's. */
  readonly random?: Random;
  /** Families that are served beside the native one. Default: all that there are. */
  readonly projections?: readonly Projection[];
}

export interface RunningRelay {
  readonly discoveryAddress: HostPort;
  /** Base URL of health and metrics. */
  readonly statusUrl: string;
  /** Finishes what runs, within `deadlineMs` or the settings' drain deadline. @returns false if that was too short. */
  stop(deadlineMs?: number): Promise<boolean>;
}

const relayVersion = '0.1.0';
/** How long a stream must last for waits to start short again. */
const stableAfterMs = 10_000;

/**
 * Serves discovery to nodes from what another control plane, or another relay, publishes: the publisher, the projections and
 * the discovery service of a control plane, on a feed that is a discovery stream. It listens at once, and lets nobody in
 * before it has everything.
 * @throws if an address is taken or files cannot be used; nothing is left running then.
 */
export async function startRelay(options: RelayOptions): Promise<RunningRelay> {
  const { settings, logger, clock = systemClock, random = systemRandom, projections = allProjections } = options;
  const kit = { settings, logger, clock, random, metrics: new Metrics(), projections };
  const base: Base = { ...kit, ...(await tlsOf(kit)) };
  requireTls(base);
  const upstream = upstreamParts(base);
  const served = servedParts(base, upstream);
  const file = upstream.file(() => served.publisher.committed());
  const status = statusServer(base, upstream, served);
  const started = { discovery: 0, status: '' };
  const parts: readonly Part[] = [
    { name: 'TLS files', stop: () => [base.tls, base.upstreamTls].forEach((files) => files?.stop()) },
    { name: 'questions', stop: () => upstream.questions.close() },
    {
      name: 'publisher',
      start: () => upstream.begin(served.publisher, file),
      stop: async () => {
        served.scopes.stop();
        for (const { source } of served.views) source.stop();
        await served.publisher.stop();
      },
    },
    { name: 'upstream', stop: () => upstream.client.stop() },
    ...(settings.state === '' ? [] : [{ name: 'snapshot', start: () => file.start(), stop: () => file.stop() }]),
    {
      name: 'fleet',
      // The upstream may be away: nodes are served nevertheless.
      start: () => void served.reporter.start(),
      stop: async () => {
        await served.reporter.stop();
        served.registry.stop();
      },
    },
    {
      name: 'discovery',
      start: async () => void (started.discovery = await served.discovery.start()),
      stop: (deadline) => served.discovery.stop(deadline),
    },
    { name: 'status', start: async () => void (started.status = await status.start()), stop: () => status.stop() },
  ];
  const lifecycle = new Lifecycle(parts, clock, logger);
  await lifecycle.start();
  const { host } = addressOf(settings.discoveryListen, 'SIGNALBOX_DISCOVERY_LISTEN');
  logger.info('relay listens', { discovery: `${host}:${started.discovery}`, status: started.status });
  return {
    discoveryAddress: { host, port: started.discovery },
    statusUrl: started.status,
    stop: (deadlineMs = settings.drainMs) => lifecycle.stop(deadlineMs),
  };
}

/** What every part is given. */
interface Base {
  readonly settings: RelaySettings;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
  readonly projections: readonly Projection[];
  /** Of what it serves; undefined: plaintext. */
  readonly tls: TlsFiles | undefined;
  /** Towards the upstream; undefined: plaintext. */
  readonly upstreamTls: TlsFiles | undefined;
}

async function tlsOf({
  settings,
  ...kit
}: Omit<Base, 'tls' | 'upstreamTls'>): Promise<Pick<Base, 'tls' | 'upstreamTls'>> {
  const { tlsCert, tlsKey, tlsPollMs: pollMs, clientCa, upstreamCa, upstreamCert, upstreamKey } = settings;
  const open = async (purpose: string, files: { cert: string; key: string; ca: string }) => {
    const ca = files.ca === '' ? [] : [files.ca];
    if (files.cert === '' && files.key === '' && ca.length === 0) return undefined;
    return TlsFiles.open({ ...kit, purpose, files: { ...files, ca }, pollMs });
  };
  if (clientCa !== '' && tlsCert === '')
    throw new Error('certificates of nodes need TLS: set SIGNALBOX_TLS_CERT and SIGNALBOX_TLS_KEY');
  return {
    tls: await open('relay', { cert: tlsCert, key: tlsKey, ca: clientCa }),
    upstreamTls: await open('upstream', { cert: upstreamCert, key: upstreamKey, ca: upstreamCa }),
  };
}

/** @throws Error if tokens would go over the network as they are, and nobody has said that they may. */
function requireTls({ settings, tls, upstreamTls, logger }: Base): void {
  const choice = { isAllowed: settings.allowPlaintext, logger };
  const address = addressOf(settings.discoveryListen, 'SIGNALBOX_DISCOVERY_LISTEN');
  const upstream = addressOf(settings.upstream, 'SIGNALBOX_RELAY_UPSTREAM');
  const own = 'SIGNALBOX_TLS_CERT and SIGNALBOX_TLS_KEY';
  requireProtection({ address, purpose: 'discovery', isSecure: tls !== undefined, remedy: own }, choice);
  const above = { address: upstream, purpose: 'the upstream', remedy: 'SIGNALBOX_RELAY_CA' };
  requireProtection({ ...above, isSecure: upstreamTls !== undefined }, choice);
}

/** What comes from above. */
function upstreamParts(base: Base) {
  const { settings, clock, upstreamTls } = base;
  const { host, port } = addressOf(settings.upstream, 'SIGNALBOX_RELAY_UPSTREAM');
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const tls = upstreamTls && (() => clientTls(upstreamTls));
  const dial = { address, token: settings.token, ...(tls && { tls }) };
  const questions = new RelayClient({ ...dial, timeoutMs: settings.upstreamTimeoutMs, clock });
  const credentials = new UpstreamCredentials({
    ...{ client: questions, clock, metrics: base.metrics },
    ...{ cacheMs: settings.tokenCacheMs, cacheSize: settings.tokenCacheSize, maxRemembered: settings.tokensMax },
  });
  let load: SnapshotFile['load'] = () => Promise.resolve(undefined);
  const feed: UpstreamFeed = new UpstreamFeed({
    ...base,
    loadSnapshot: async () => {
      const snapshot = await load();
      if (snapshot) credentials.remembered.replace(snapshot.tokens);
      return snapshot;
    },
    resubscribe: (changes) => client.resubscribe(changes),
    limits: feedLimits(settings),
  });
  const client = adsClient(base, dial, feed);
  return {
    ...{ questions, credentials, feed, client },
    /** Dials when it is known what is on disk. The publisher is ready when everything has come. */
    begin: async (publisher: Publisher, file: SnapshotFile) => {
      // At once: an upstream that goes before the first interval is over leaves a relay that can start again.
      const keep = () => (settings.state === '' ? undefined : file.dump());
      if (settings.state !== '') load = () => file.load();
      publisher
        .start()
        .then(keep)
        .catch((error: unknown) => base.logger.debug('the publisher has stopped', { error: String(error) }));
      await feed.loaded;
      client.start();
    },
    /** What is on disk; written only while it is the newest. */
    file: (committed: Publisher['committed']) =>
      new SnapshotFile({
        ...base,
        ...{ folder: settings.state, intervalMs: settings.snapshotMs, maxBytes: settings.snapshotBytes },
        collect: () => {
          const held = feed.stalenessMs > 0 ? undefined : committed();
          const tokens = credentials.remembered.all();
          return Promise.resolve(held && held.scopes.length > 0 ? { ...held, tokens } : undefined);
        },
      }),
  };
}

function adsClient(
  { settings, clock, random, logger }: Base,
  dial: { readonly address: string; readonly token: RelaySettings['token']; readonly tls?: () => AdsClientTls },
  handler: UpstreamFeed,
): AdsClient {
  return new AdsClient({
    ...{ ...dial, handler, clock, random, logger },
    node: {
      ...{ id: settings.id || hostname(), cluster: settings.gateway, metadata: {} },
      ...{ userAgentName: relayUserAgent, userAgentVersion: relayVersion },
    },
    types: [...kinds.map((kind) => typeUrlOf(kind)), typeUrlOf('Manifest')],
    backoff: { minMs: settings.backoffMinMs, maxMs: settings.backoffMaxMs, stableAfterMs },
    limits: {
      maxResponseBytes: settings.upstreamResponseBytes,
      connectTimeoutMs: settings.upstreamTimeoutMs,
      keepaliveIntervalMs: settings.discoveryKeepaliveMs,
      keepaliveTimeoutMs: settings.discoveryKeepaliveTimeoutMs,
    },
  });
}

/** What it serves to those below. */
function servedParts(base: Base, { feed, credentials, questions: client }: ReturnType<typeof upstreamParts>) {
  const { settings, clock, projections, random } = base;
  const debounce = { quietMs: settings.debounceQuietMs, maxMs: settings.debounceMaxMs };
  const { rememberedChanges: maxRememberedChanges, trustDomain } = settings;
  const publisher = new Publisher({ ...base, feed, debounce, maxRememberedChanges });
  const directory = new TenantDirectory(publisher);
  const scopes = new ScopedSources({
    ...{ published: publisher, directory, maxRememberedChanges },
    maxSources: settings.discoveryScopes,
  });
  const views = projections.map((projection) => ({
    family: projection.family,
    source: new ViewSource({
      ...{ projection, published: publisher, directory, clock, debounce },
      maxViews: settings.discoveryViews,
    }),
  }));
  const admission = new NodeAdmission({ ...base, authenticator: credentials, trustDomain, scopes, views });
  const reports = new UpstreamReports(client);
  const { fleetReportRows: maxRows, fleetReportMs: coalesceMs, replicaLeaseMs: leaseMs } = settings;
  const questions = new RelayService({ ...base, admission, credentials, directory, reports, maxReportRows: maxRows });
  const time = new DatabaseTime(clock);
  const name = settings.id || hostname();
  const registry = new NodeRegistry({
    ...{ source: publisher, replica: name, time, metrics: base.metrics },
    ...{ maxDisconnectedNodes: settings.rememberedNodes, maxRevisions: 1 },
  });
  const reporter = new FleetReporter({
    ...{ ...base, replica: { id: random.uuid(), name }, registry, store: reports, time, isPartial: true },
    ...{ coalesceMs, leaseMs, maxRows, retentionMs: leaseMs, onOutage: () => undefined },
  });
  const discovery = new DiscoveryService({
    ...base,
    listen: addressOf(settings.discoveryListen, 'SIGNALBOX_DISCOVERY_LISTEN'),
    ...{ source: publisher, views, admission },
    services: [(server) => questions.addTo(server)],
    observer: registry,
    limits: discoveryLimits(settings),
  });
  return { publisher, scopes, views, registry, reporter, discovery };
}

function statusServer(
  { settings, metrics }: Base,
  { feed }: ReturnType<typeof upstreamParts>,
  { publisher }: ReturnType<typeof servedParts>,
): StatusServer {
  const readiness = () => {
    const staleS = Math.ceil(feed.stalenessMs / 1_000);
    if (!publisher.ready) return { ready: false, text: 'not everything has come from the upstream yet' };
    return {
      ready: true,
      text: staleS > 0 ? `ready, stale: the upstream has been out of reach for ${staleS} s` : 'ready',
    };
  };
  return new StatusServer({
    listen: addressOf(settings.statusListen, 'SIGNALBOX_RELAY_STATUS_LISTEN'),
    readiness,
    metrics,
  });
}

function feedLimits(settings: RelaySettings) {
  const { scopes, scopeResources: resources, scopeBytes: bytes, removalMinimum, removalPercent } = settings;
  return { scopes, resources, bytes, removals: { minimum: removalMinimum, percent: removalPercent } };
}

function clientTls({ value: { ca, cert, key } }: TlsFiles): AdsClientTls {
  return { rootCertificates: ca, identity: cert && key ? { certificateChain: cert, privateKey: key } : undefined };
}

function addressOf(address: HostPort | undefined, name: string): HostPort {
  if (!address) throw new Error(`${name} is empty: set host:port`);
  return address;
}
