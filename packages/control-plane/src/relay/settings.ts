import { hostPort, integer, secret, type Settings, text } from '@signalbox/runtime';

import { controlPlaneSettings as common } from '../settings.ts';

const seconds = 1_000;
const mebibyte = 1024 * 1024;

/** Every variable of a relay: its own, and those with which it serves nodes as a control plane does. */
export const relaySettings = {
  upstream: hostPort({
    name: 'SIGNALBOX_RELAY_UPSTREAM',
    fallback: '127.0.0.1:7071',
    doc: 'Discovery of the control plane, or of the relay, that this relay is fed by.',
  }),
  token: secret({
    name: 'SIGNALBOX_RELAY_TOKEN',
    doc: 'Token of this relay at its upstream: signalbox token create NAME --role relay --gateway GATEWAY. Empty: its certificate says who it is.',
  }),
  upstreamCa: text(
    {
      name: 'SIGNALBOX_RELAY_CA',
      fallback: '',
      doc: 'PEM file with the certificates that the upstream’s may be signed by. Empty: plaintext, unless there is a certificate of its own; then those that the machine trusts.',
    },
    'path',
  ),
  upstreamCert: text(
    {
      name: 'SIGNALBOX_RELAY_CERT',
      fallback: '',
      doc: 'PEM file with the certificate that this relay shows its upstream.',
    },
    'path',
  ),
  upstreamKey: text(
    { name: 'SIGNALBOX_RELAY_KEY', fallback: '', doc: 'PEM file with the key of that certificate.' },
    'path',
  ),
  gateway: text(
    {
      name: 'SIGNALBOX_RELAY_GATEWAY',
      fallback: 'default',
      doc: 'Name of the Gateway whose nodes this relay serves: that of its token.',
    },
    'name',
  ),
  id: text(
    {
      name: 'SIGNALBOX_RELAY_ID',
      fallback: '',
      doc: 'Name of this relay among the nodes of its upstream. Empty: that of the machine.',
    },
    'name',
  ),
  statusListen: hostPort({
    name: 'SIGNALBOX_RELAY_STATUS_LISTEN',
    fallback: '127.0.0.1:7072',
    doc: 'Where /healthz, /readyz and /metrics answer.',
  }),
  scopes: integer({
    name: 'SIGNALBOX_RELAY_SCOPES',
    ...{ unit: 'scopes', min: 1, max: 10_000_000, fallback: '1000000' },
    doc: 'Tenants, and the operator, that this relay holds.',
  }),
  upstreamResponseBytes: integer({
    name: 'SIGNALBOX_RELAY_RESPONSE',
    ...{ unit: 'bytes', min: 1024, max: 1024 * mebibyte, fallback: String(64 * mebibyte) },
    doc: 'One response of the upstream. Beyond: the stream is ended.',
  }),
  upstreamTimeoutMs: integer({
    name: 'SIGNALBOX_RELAY_TIMEOUT',
    ...{ unit: 'ms', min: 100, max: 600 * seconds, fallback: '5000' },
    doc: 'How long the upstream may take to let this relay in, or to answer a question.',
  }),
  backoffMinMs: integer({
    name: 'SIGNALBOX_RELAY_BACKOFF_MIN',
    ...{ unit: 'ms', min: 1, max: 600 * seconds, fallback: '100' },
    doc: 'Shortest wait between two attempts to reach the upstream.',
  }),
  backoffMaxMs: integer({
    name: 'SIGNALBOX_RELAY_BACKOFF_MAX',
    ...{ unit: 'ms', min: 1, max: 3_600 * seconds, fallback: '10000' },
    doc: 'Longest wait between two attempts to reach the upstream.',
  }),
  discoveryListen: common.discoveryListen,
  tlsCert: common.tlsCert,
  tlsKey: common.tlsKey,
  allowPlaintext: common.allowPlaintext,
  tlsPollMs: common.tlsPollMs,
  clientCa: common.clientCa,
  trustDomain: common.trustDomain,
  logLevel: common.logLevel,
  drainMs: common.drainMs,
  state: common.state,
  snapshotMs: common.snapshotMs,
  snapshotBytes: common.snapshotBytes,
  tokenCacheMs: common.tokenCacheMs,
  tokenCacheSize: common.tokenCacheSize,
  tokensMax: common.tokensMax,
  scopeResources: common.scopeResources,
  scopeBytes: common.scopeBytes,
  removalMinimum: common.removalMinimum,
  removalPercent: common.removalPercent,
  debounceQuietMs: common.debounceQuietMs,
  debounceMaxMs: common.debounceMaxMs,
  rememberedChanges: common.rememberedChanges,
  rememberedNodes: common.rememberedNodes,
  replicaLeaseMs: common.replicaLeaseMs,
  fleetReportMs: common.fleetReportMs,
  fleetReportRows: common.fleetReportRows,
  discoveryStreams: common.discoveryStreams,
  discoveryAdmission: common.discoveryAdmission,
  discoveryBurst: common.discoveryBurst,
  discoveryViews: common.discoveryViews,
  discoveryScopes: common.discoveryScopes,
  discoveryTypes: common.discoveryTypes,
  discoveryNames: common.discoveryNames,
  discoveryRequestBytes: common.discoveryRequestBytes,
  discoveryResponseBytes: common.discoveryResponseBytes,
  discoveryStreamAgeMs: common.discoveryStreamAgeMs,
  discoveryStreamGraceMs: common.discoveryStreamGraceMs,
  discoveryHandshakeMs: common.discoveryHandshakeMs,
  discoveryRecheckMs: common.discoveryRecheckMs,
  discoveryRemovalMs: common.discoveryRemovalMs,
  discoveryAnswerMs: common.discoveryAnswerMs,
  discoveryKeepaliveMs: common.discoveryKeepaliveMs,
  discoveryKeepaliveTimeoutMs: common.discoveryKeepaliveTimeoutMs,
};

export type RelaySettings = Settings<typeof relaySettings>;
