import { defaultTableLimits } from '@signalbox/config';
import type { AdsServerLimits } from '@signalbox/xds';

import type { ApiLimits } from './api/config-service.ts';
import type { WritePlannerOptions } from './api/plan-write.ts';
import type { ControlPlaneSettings } from './settings.ts';
import type { DatabaseOptions } from './store/database.ts';

/** What the settings mean for the database. @throws Error if there is none. */
export function databaseOptions(settings: ControlPlaneSettings): Omit<DatabaseOptions, 'clock' | 'metrics'> {
  const { databaseUrl, statementTimeoutMs, lockTimeoutMs, connectTimeoutMs, transactionTimeoutMs } = settings;
  if (!databaseUrl) throw new Error('DATABASE_URL is required: postgres://user:password@host:port/database');
  return {
    url: databaseUrl.reveal(),
    connections: settings.databaseConnections,
    waiting: settings.databaseWaiting,
    retryAfterMs: settings.databaseRetryMs,
    ...{ statementTimeoutMs, lockTimeoutMs, connectTimeoutMs, transactionTimeoutMs },
  };
}

/** Name, version, type and lengths of a resource in a response take less than this. */
const resourceOverheadBytes = 1_024;

/** Bounds of what may be written: everything that nodes would refuse is refused here. */
export function planLimits(settings: ControlPlaneSettings): Omit<WritePlannerOptions, 'clock'> {
  const { scopeResources: resources, scopeBytes: bytes, planTables: tables, discoveryResponseBytes } = settings;
  const removals = { minimum: settings.removalMinimum, percent: settings.removalPercent };
  const resourceBytes = Math.max(1, discoveryResponseBytes - resourceOverheadBytes);
  return { limits: { ...defaultTableLimits, resources, bytes }, removals, tables, resourceBytes };
}

export function apiLimits(settings: ControlPlaneSettings): ApiLimits {
  const { applyResources, messageLength, problemsMax: problems } = settings;
  return { applyResources, messageLength, problems };
}

/** What is kept of catalogs, and how often servers are looked at. */
export function catalogLimits(settings: ControlPlaneSettings) {
  const {
    catalogMs: intervalMs,
    catalogRetryMs: retryMs,
    catalogLeaseMs: leaseMs,
    catalogVersions: versions,
  } = settings;
  return { intervalMs, retryMs, leaseMs, versions };
}

/** How nodes are told which servers to look at. */
export function catalogServiceLimits(settings: ControlPlaneSettings) {
  const { catalogAskMs: askMs, catalogAsks: asksPerSecond, catalogClaims: claims, catalogLeaseMs: leaseMs } = settings;
  const limits = { descriptors: settings.catalogDescriptors, bytes: settings.catalogBytes };
  return { askMs, asksPerSecond, claims, leaseMs, limits };
}

const streamAgeJitter = 0.2;

/** What bounds discovery: of a control plane, or of a relay. */
export type DiscoverySettings = Pick<
  ControlPlaneSettings,
  | 'discoveryAdmission'
  | 'discoveryAnswerMs'
  | 'discoveryBurst'
  | 'discoveryHandshakeMs'
  | 'discoveryKeepaliveMs'
  | 'discoveryKeepaliveTimeoutMs'
  | 'discoveryNames'
  | 'discoveryRecheckMs'
  | 'discoveryRemovalMs'
  | 'discoveryRequestBytes'
  | 'discoveryResponseBytes'
  | 'discoveryStreamAgeMs'
  | 'discoveryStreamGraceMs'
  | 'discoveryStreams'
  | 'discoveryTypes'
>;

export function discoveryLimits(settings: DiscoverySettings): AdsServerLimits {
  return {
    maxStreams: settings.discoveryStreams,
    streamsPerSecond: settings.discoveryAdmission,
    streamBurst: settings.discoveryBurst,
    maxTypesPerStream: settings.discoveryTypes,
    maxNamesPerStream: settings.discoveryNames,
    maxRequestBytes: settings.discoveryRequestBytes,
    maxResponseBytes: settings.discoveryResponseBytes,
    maxStreamAgeMs: settings.discoveryStreamAgeMs,
    streamAgeJitter,
    streamAgeGraceMs: settings.discoveryStreamGraceMs,
    handshakeTimeoutMs: settings.discoveryHandshakeMs,
    authenticationCheckMs: settings.discoveryRecheckMs,
    lateRemovalMs: settings.discoveryRemovalMs,
    answerTimeoutMs: settings.discoveryAnswerMs,
    keepaliveIntervalMs: settings.discoveryKeepaliveMs,
    keepaliveTimeoutMs: settings.discoveryKeepaliveTimeoutMs,
  };
}
