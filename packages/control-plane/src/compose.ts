import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';

import { CertificateAuthority } from '@signalbox/certificates';
import {
  boundYoungSpace,
  type Clock,
  type HostPort,
  Lifecycle,
  type Logger,
  Metrics,
  type Part,
  type Random,
  requireProtection,
  type Secret,
  systemClock,
  systemRandom,
  TlsFiles,
} from '@signalbox/runtime';

import { CatalogApi } from './api/catalog-service.ts';
import { ConfigApi } from './api/config-service.ts';
import { DumpApi } from './api/dump-service.ts';
import { Explainer } from './api/explainer.ts';
import { NodeApi } from './api/node-service.ts';
import { WritePlanner } from './api/plan-write.ts';
import { PropagationApi } from './api/propagation-service.ts';
import { RolloutApi } from './api/rollout-service.ts';
import { ApiServer } from './api/server.ts';
import { StateStreams } from './api/state-streams.ts';
import { StreamAccess } from './api/stream-access.ts';
import { TenantApi } from './api/tenant-service.ts';
import { TokenApi } from './api/token-service.ts';
import { VirtualServerScale } from './catalog/virtual-server-scale.ts';
import { CatalogService } from './discovery/catalog-service.ts';
import { DiscoveryService } from './discovery/discovery-service.ts';
import { Fleet } from './discovery/fleet.ts';
import { FleetReporter } from './discovery/fleet-reporter.ts';
import { JoinService } from './discovery/join-service.ts';
import { NodeAdmission } from './discovery/node-admission.ts';
import { NodeHealthService } from './discovery/node-health-service.ts';
import { NodeRegistry } from './discovery/node-registry.ts';
import { RelayService } from './discovery/relay-service.ts';
import { nativeFamily } from './projections/native.ts';
import type { Projection } from './projections/projection.ts';
import { projections as allProjections } from './projections/projections.ts';
import { Publisher } from './publish/publisher.ts';
import { ScopedSources } from './publish/scoped-sources.ts';
import { TenantDirectory } from './publish/tenant-directory.ts';
import { ViewSource } from './publish/view-source.ts';
import {
  apiLimits,
  catalogLimits,
  catalogServiceLimits,
  databaseOptions,
  discoveryLimits,
  planLimits,
} from './limits.ts';
import { RolloutDriver } from './rollout/driver.ts';
import { FleetNodes } from './rollout/fleet-nodes.ts';
import { HealthCollector } from './rollout/health-collector.ts';
import { takeBackBy } from './rollout/take-back.ts';
import type { ControlPlaneSettings } from './settings.ts';
import { CatalogStore } from './store/catalog-store.ts';
import { Database } from './store/database.ts';
import { DatabaseTime } from './store/database-time.ts';
import { Doorbell } from './store/doorbell.ts';
import { migrate } from './store/migrate.ts';
import { PostgresFleetStore } from './store/postgres-fleet-store.ts';
import { PostgresStore, type PostgresStoreOptions } from './store/postgres-store.ts';
import { RegistryStore } from './store/registry-store.ts';
import { RememberingStore } from './store/remembering-store.ts';
import { RolloutStore } from './store/rollout-store.ts';
import { SnapshotFile } from './store/snapshot-file.ts';
import { SurvivingFeed } from './store/surviving-feed.ts';
import { Tail } from './store/tail.ts';
import { TokenStore } from './store/tokens.ts';

export interface ControlPlaneOptions {
  readonly settings: ControlPlaneSettings;
  readonly logger: Logger;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** Default: the machine's. */
  readonly random?: Random;
  /** Families that are served beside the native one. Default: all that there are. */
  readonly projections?: readonly Projection[];
}

export interface RunningControlPlane {
  /** Base URL of the admin API. */
  readonly apiUrl: string;
  readonly discoveryAddress: HostPort;
  /** The operator's credential, on the first start with a database only. It is not kept anywhere. */
  readonly operatorToken: Secret | undefined;
  /** Finishes what runs, within `deadlineMs` or the settings' drain deadline. @returns false if that was too short. */
  stop(deadlineMs?: number): Promise<boolean>;
}

/**
 * Migrates the database, reads it, and serves discovery and the admin API.
 * @throws if the database cannot be used or an address is taken; nothing is left running then.
 */
export async function startControlPlane(options: ControlPlaneOptions): Promise<RunningControlPlane> {
  boundYoungSpace();
  const { settings, logger, clock = systemClock, random = systemRandom, projections = allProjections } = options;
  const kit = { settings, logger, clock, random, metrics: new Metrics(), projections };
  const base: Base = { ...kit, tls: await tlsFilesOf(kit), authority: await authorityOf(settings) };
  requireTls(base);
  const store = storeParts(base, (scope) => served.publisher.state(scope));
  const snapshotFile: SnapshotFile = snapshotFileOf(base, store, () => served);
  const served = servedParts(base, store, snapshotFile);
  const addresses: { api: string; discovery: number; operatorToken: Secret | undefined } = {
    ...{ api: '', discovery: 0, operatorToken: undefined },
  };
  const rolling = rolloutParts(base, store, served);
  const api = apiServer(base, store, served, rolling);
  const discovery = listenAddress(settings.discoveryListen, 'SIGNALBOX_DISCOVERY_LISTEN');
  const parts: Part[] = [
    { name: 'TLS files', stop: () => base.tls?.stop() },
    { name: 'database', stop: () => store.database.close() },
    { name: 'doorbell', stop: () => store.doorbell.stop() },
    {
      name: 'publisher',
      start: async () => {
        await served.publisher.start();
        addresses.operatorToken = store.firstToken();
      },
      stop: () => stopPublishing(served),
    },
    ...(settings.state === '' ? [] : [snapshotPart(snapshotFile)]),
    { name: 'fleet', start: () => served.reporter.start(), stop: () => stopFleet(served) },
    {
      name: 'discovery',
      start: async () => void (addresses.discovery = await served.discovery.start()),
      stop: (deadline) => served.discovery.stop(deadline),
    },
    { name: 'rollouts', start: () => rolling.driver.start(), stop: () => rolling.driver.stop() },
    {
      name: 'api',
      start: async () => void (addresses.api = await api.start()),
      stop: (deadline) => api.stop(deadline),
    },
  ];
  const lifecycle = new Lifecycle(parts, clock, logger);
  await lifecycle.start();
  logger.info('control plane is ready', { api: addresses.api, discovery: `${discovery.host}:${addresses.discovery}` });
  return {
    apiUrl: addresses.api,
    discoveryAddress: { host: discovery.host, port: addresses.discovery },
    operatorToken: addresses.operatorToken,
    stop: (deadlineMs = settings.drainMs) => lifecycle.stop(deadlineMs),
  };
}

/** What every part is given. */
interface Base {
  readonly settings: ControlPlaneSettings;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
  readonly projections: readonly Projection[];
  /** Of API and discovery; undefined: they are plaintext. */
  readonly tls: TlsFiles | undefined;
  /** Signs the certificates of nodes; undefined: none join. */
  readonly authority: CertificateAuthority | undefined;
}

function tlsFilesOf({ settings, ...kit }: Omit<Base, 'tls' | 'authority'>): Promise<TlsFiles> | undefined {
  const { tlsCert: cert, tlsKey: key, tlsPollMs: pollMs } = settings;
  const ca = [settings.clientCa, settings.nodeCaCert].filter((file) => file !== '');
  if (cert === '' && key === '' && ca.length === 0) return undefined;
  if (cert === '') throw new Error('certificates of nodes need TLS: set SIGNALBOX_TLS_CERT and SIGNALBOX_TLS_KEY');
  return TlsFiles.open({ ...kit, purpose: 'control-plane', files: { cert, key, ca }, pollMs });
}

/** @throws Error if the files are none of an authority. */
async function authorityOf({ nodeCaCert, nodeCaKey }: ControlPlaneSettings): Promise<CertificateAuthority | undefined> {
  if (nodeCaCert === '' && nodeCaKey === '') return undefined;
  if (nodeCaCert === '' || nodeCaKey === '')
    throw new Error('set both SIGNALBOX_NODE_CA_CERT and SIGNALBOX_NODE_CA_KEY');
  return CertificateAuthority.load(await readFile(nodeCaCert, 'utf8'), await readFile(nodeCaKey, 'utf8'));
}

/** @throws Error if tokens would go over the network as they are, and nobody has said that they may. */
function requireTls({ settings, tls, logger }: Pick<Base, 'settings' | 'tls' | 'logger'>): void {
  const { apiListen, discoveryListen, allowPlaintext: isAllowed } = settings;
  const remedy = 'SIGNALBOX_TLS_CERT and SIGNALBOX_TLS_KEY';
  const listeners = [
    { purpose: 'the admin API', address: apiListen },
    { purpose: 'discovery', address: discoveryListen },
  ];
  for (const { purpose, address } of listeners) {
    if (address) requireProtection({ address, purpose, isSecure: tls !== undefined, remedy }, { isAllowed, logger });
  }
}

function storeParts(base: Base, served: PostgresStoreOptions['served']) {
  const { settings, random } = base;
  const database = new Database({ ...base, ...databaseOptions(settings) });
  const doorbell = new Doorbell({ ...base, ...databaseOptions(settings), coalesceMs: settings.doorbellMs });
  const {
    pollMs,
    tailPageRows: pageRows,
    tailPassRows: passRows,
    requestIdHours,
    cachedResources,
    removalMinimum,
  } = settings;
  const tail = new Tail({ ...base, database, doorbell, pollMs, pageRows, passRows });
  const afterChange = () => {
    tail.kick();
    doorbell.ring();
  };
  const store = new PostgresStore({
    database,
    random,
    requestIdHours,
    cachedResources,
    removalMinimum,
    served,
    onCommit: (committed) => {
      if (committed) tail.committed(committed);
      else tail.kick();
      doorbell.ring();
    },
  });
  const { tokenCacheMs: cacheMs, tokenCacheSize: cacheSize, tokensMax: maxTokens } = settings;
  const catalogs = new CatalogStore({ ...base, database, ...catalogLimits(settings) });
  const tokens = new TokenStore({ ...base, database, cacheMs, cacheSize, maxTokens });
  let firstToken: Secret | undefined;
  const prepare = async () => {
    await migrate({ ...base, ...migrationOptions(settings) });
    if (settings.bootstrapToken) await tokens.ensureBootstrap(settings.bootstrapToken);
    else firstToken ??= await tokens.createFirst();
    await tokens.remember();
  };
  return { database, doorbell, tail, store, catalogs, tokens, prepare, afterChange, firstToken: () => firstToken };
}

/** Written while the state is the newest only: an old state must not look like one of now. */
function snapshotFileOf(
  base: Base,
  { tokens }: ReturnType<typeof storeParts>,
  served: () => ReturnType<typeof servedParts>,
): SnapshotFile {
  const { settings } = base;
  const collect = async () => {
    await tokens.remember();
    const { publisher, feed } = served();
    if (feed.stalenessMs > 0) return undefined;
    return { ...publisher.committed(), tokens: tokens.remembered.all() };
  };
  const { state: folder, snapshotMs: intervalMs, snapshotBytes: maxBytes } = settings;
  return new SnapshotFile({ ...base, folder, intervalMs, maxBytes, collect });
}

function snapshotPart(file: SnapshotFile): Part {
  return { name: 'snapshot', start: () => file.start(), stop: () => file.stop() };
}

function servedParts(
  base: Base,
  { database, tail, catalogs, tokens, prepare }: ReturnType<typeof storeParts>,
  snapshotFile: SnapshotFile,
) {
  const { settings, clock, projections } = base;
  const loadSnapshot = async () => {
    const snapshot = settings.state === '' ? undefined : await snapshotFile.load();
    if (snapshot) tokens.remembered.replace(snapshot.tokens);
    return snapshot;
  };
  const feed = new SurvivingFeed({ ...base, tail, prepare, loadSnapshot });
  const debounce = { quietMs: settings.debounceQuietMs, maxMs: settings.debounceMaxMs };
  const publisher = new Publisher({
    ...base,
    feed,
    debounce,
    maxRememberedChanges: settings.rememberedChanges,
  });
  const { registry, reporter, fleet, replica } = fleetParts(base, database, publisher);
  const { trustDomain, nodeCertificateMs: lifetimeMs } = settings;
  const directory = new TenantDirectory(publisher);
  const scopes = new ScopedSources({
    ...{ published: publisher, directory },
    ...{ maxRememberedChanges: settings.rememberedChanges, maxSources: settings.discoveryScopes },
  });
  const views = projections.map((projection) => ({
    family: projection.family,
    source: new ViewSource({
      ...{ projection, published: publisher, directory, clock, debounce },
      maxViews: settings.discoveryViews,
    }),
  }));
  const admission = new NodeAdmission({ ...base, authenticator: tokens, trustDomain, scopes, views });
  const join =
    base.authority &&
    new JoinService({ ...base, authority: base.authority, tokens, admission, trustDomain, lifetimeMs });
  const health = new HealthCollector();
  const { nodeReportMs: intervalMs, nodeReportIdleMs: idleMs } = settings;
  const reports = new NodeHealthService({ ...base, admission, health, registry, intervalMs, idleMs });
  const questions = new RelayService({
    ...{ ...base, admission, credentials: tokens, directory },
    ...{ reports: new PostgresFleetStore(database), maxReportRows: settings.fleetReportRows },
  });
  const looks = new CatalogService({
    ...{ ...base, admission, store: catalogs, published: publisher, nodes: () => registry.connected },
    ...catalogServiceLimits(settings),
  });
  const discovery = new DiscoveryService({
    ...base,
    listen: listenAddress(settings.discoveryListen, 'SIGNALBOX_DISCOVERY_LISTEN'),
    source: publisher,
    views,
    admission,
    services: [reports, questions, looks, ...(join ? [join] : [])].map((service) => (server) => service.addTo(server)),
    observer: registry,
    limits: discoveryLimits(settings),
  });
  return { feed, publisher, registry, reporter, fleet, replica, health, discovery, scopes, views };
}

/** What is known of nodes: of this replica by their streams, of the others by what they tell. */
function fleetParts(base: Base, database: Database, publisher: Publisher) {
  const { settings, clock, random } = base;
  const { discoveryListen, replicaName, propagationRevisions: maxRevisions } = settings;
  const name = replicaName === '' ? `${hostname()}:${discoveryListen?.port ?? 0}` : replicaName;
  const replica = { id: random.uuid(), name };
  const time = new DatabaseTime(clock);
  const store = new PostgresFleetStore(database);
  const registry = new NodeRegistry({
    ...base,
    ...{ replica: name, time, source: publisher, maxRevisions, maxDisconnectedNodes: settings.rememberedNodes },
  });
  const { replicaLeaseMs: leaseMs, replicaRetentionMs: retentionMs } = settings;
  const { fleetReportMs: coalesceMs, fleetReportRows: maxRows, fleetPollMs: pollMs } = settings;
  const parts = { ...base, replica, registry, store, time, leaseMs };
  const fleet = new Fleet({ ...parts, pollMs });
  const onOutage = () => fleet.interrupted();
  const reporter = new FleetReporter({ ...parts, coalesceMs, maxRows, retentionMs, onOutage });
  return { registry, fleet, reporter, replica };
}

/** What moves rollouts on. */
function rolloutParts(
  base: Base,
  { database, store, afterChange }: ReturnType<typeof storeParts>,
  { publisher, fleet, replica, health }: ReturnType<typeof servedParts>,
) {
  const { settings, clock } = base;
  const planner = new WritePlanner({ clock, ...planLimits(settings) });
  const rollouts = new RolloutStore({ database, onChange: afterChange });
  const nodes = new FleetNodes(fleet);
  const driver = new RolloutDriver({
    ...{ ...base, store: rollouts, fleet: nodes, health, replica: replica.id, intervalMs: settings.rolloutMs },
    returnMs: settings.nodesReturnMs,
    takeBack: takeBackBy(store, planner),
    isNeeded: () => publisher.isStaged,
  });
  publisher.onChange(() => {
    if (publisher.isStaged) driver.kick();
  });
  return { planner, rollouts, nodes, driver };
}

function apiServer(
  base: Base,
  { database: rows, store: database, catalogs, tokens }: ReturnType<typeof storeParts>,
  { feed, publisher, fleet, discovery }: ReturnType<typeof servedParts>,
  { planner, rollouts, nodes, driver }: ReturnType<typeof rolloutParts>,
): ApiServer {
  const { settings, clock, projections } = base;
  const store = new RememberingStore(database, publisher, base.metrics);
  const families = [nativeFamily.name, ...projections.map(({ family }) => family.name)];
  const limits = apiLimits(settings);
  const streams = new StateStreams({
    ...{ fleet, clock, maxStreams: settings.watches, maxMs: settings.watchMs, intervalMs: settings.watchIntervalMs },
  });
  const access = new StreamAccess({ tokens, clock, recheckMs: settings.watchRecheckMs });
  const watching = { store, fleet, streams, access, returnMs: settings.nodesReturnMs };
  const propagation = new PropagationApi({ ...watching, published: (scope) => publisher.newest(scope) });
  return new ApiServer({
    ...base,
    listen: listenAddress(settings.apiListen, 'SIGNALBOX_API_LISTEN'),
    services: {
      config: new ConfigApi({ store, planner, explainer: new Explainer(planner, clock), propagation, limits }),
      tenants: new TenantApi({ store, planner, limits }),
      nodes: new NodeApi({ ...watching, staged: (scope) => publisher.staged(scope) }),
      rollouts: new RolloutApi({
        ...{ ...watching, rollouts, driver, fleet: nodes, clock },
        ...{ pollMs: settings.watchIntervalMs, reasonLength: settings.messageLength },
      }),
      catalogs: new CatalogApi({ ...base, catalogs, store, scale: new VirtualServerScale(catalogs, publisher) }),
      dump: new DumpApi({ published: publisher, projections, maxResources: settings.dumpResources }),
      tokens: new TokenApi({ tokens, store, families, onRevoke: (id) => void discovery.closeStreams(id) }),
    },
    tokens,
    registry: new RegistryStore({ database: rows, published: publisher, gatewayUrls: settings.registryGateways }),
    unready: () => whyUnready(publisher),
    stalenessMs: () => feed.stalenessMs,
    ...{ bodyBytes: settings.bodyBytes, connections: settings.apiConnections, requestMs: settings.apiRequestMs },
  });
}

/** Nodes have gone by then: the others are told that they have, and that nobody need wait for this replica. */
async function stopFleet({ registry, reporter, fleet }: ReturnType<typeof servedParts>): Promise<void> {
  fleet.stop();
  await reporter.stop();
  registry.stop();
}

async function stopPublishing({ publisher, scopes, views }: ReturnType<typeof servedParts>): Promise<void> {
  scopes.stop();
  for (const { source } of views) source.stop();
  await publisher.stop();
}

/** Without its database a replica serves what it knows: that is no reason to send anybody away. */
function whyUnready(publisher: Publisher): string | undefined {
  return publisher.ready ? undefined : 'what is committed has not been read yet';
}

function migrationOptions(settings: ControlPlaneSettings) {
  const { lockTimeoutMs, migrationDeadlineMs: deadlineMs } = settings;
  return { ...databaseOptions(settings), lockTimeoutMs, deadlineMs };
}

function listenAddress(address: HostPort | undefined, name: string): HostPort {
  if (!address) throw new Error(`${name} is empty: set host:port`);
  return address;
}
