import { defaultRemovalLimits } from '@signalbox/config';
import { choice, flag, hostPort, integer, logLevels, secret, type Settings, text } from '@signalbox/runtime';

import { catalogSettings } from './catalog/settings.ts';

const seconds = 1_000;
const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;

/** Every variable of the control plane. */
export const controlPlaneSettings = {
  databaseUrl: secret({
    name: 'DATABASE_URL',
    doc: 'Postgres 15 or newer: postgres://user:password@host:port/database. The user is a superuser, or owns the database and may create roles.',
  }),
  apiListen: hostPort({
    name: 'SIGNALBOX_API_LISTEN',
    fallback: '127.0.0.1:7070',
    doc: 'Address of the admin API.',
  }),
  discoveryListen: hostPort({
    name: 'SIGNALBOX_DISCOVERY_LISTEN',
    fallback: '127.0.0.1:7071',
    doc: 'Address of the discovery service, for nodes.',
  }),
  tlsCert: text(
    {
      name: 'SIGNALBOX_TLS_CERT',
      fallback: '',
      doc: 'PEM file with the certificate of the API and of discovery and its intermediates. Empty: both are plaintext, and stay on this machine.',
    },
    'path',
  ),
  tlsKey: text({ name: 'SIGNALBOX_TLS_KEY', fallback: '', doc: 'PEM file with the key of that certificate.' }, 'path'),
  allowPlaintext: flag({
    name: 'SIGNALBOX_ALLOW_PLAINTEXT',
    fallback: 'false',
    doc: 'Whether credentials may leave this machine without TLS: true where something else protects the way, such as a mesh or a terminator. Otherwise such a start is refused.',
  }),
  tlsPollMs: integer({
    name: 'SIGNALBOX_TLS_POLL',
    ...{ unit: 'ms', min: 100, max: 3_600 * seconds, fallback: '1000' },
    doc: 'How often certificates and keys are looked at: replaced ones are used for new connections, unusable ones are reported and change nothing.',
  }),
  clientCa: text(
    {
      name: 'SIGNALBOX_DISCOVERY_CLIENT_CA',
      fallback: '',
      doc: 'PEM file with the certificates that those of nodes may be signed by. Empty: nodes have tokens only.',
    },
    'path',
  ),
  trustDomain: text(
    {
      name: 'SIGNALBOX_TRUST_DOMAIN',
      fallback: 'signalbox',
      doc: 'First part of the names in certificates of nodes: spiffe://<trust domain>/gateway/<gateway>/node/<node>.',
    },
    'name',
  ),
  nodeCaCert: text(
    {
      name: 'SIGNALBOX_NODE_CA_CERT',
      fallback: '',
      doc: 'PEM file with the certificate of the authority that signs those of nodes that join; it is trusted in addition to SIGNALBOX_DISCOVERY_CLIENT_CA. Make one with "signalbox authority". Empty: nobody joins.',
    },
    'path',
  ),
  nodeCaKey: text(
    {
      name: 'SIGNALBOX_NODE_CA_KEY',
      fallback: '',
      doc: 'PEM file with the key of that authority, ECDSA on P-256. Read at the start.',
    },
    'path',
  ),
  nodeCertificateMs: integer({
    name: 'SIGNALBOX_NODE_CERTIFICATE_LIFETIME',
    ...{ unit: 'ms', min: 1 * seconds, max: 366 * 86_400 * seconds, fallback: String(7 * 86_400 * seconds) },
    doc: 'How long the certificate of a node that joins is valid. It is renewed at half of it: for as long as the other half a node does without the control plane.',
  }),
  logLevel: choice({
    name: 'SIGNALBOX_LOG_LEVEL',
    fallback: 'info',
    options: logLevels,
    doc: 'Least level that is logged.',
  }),
  drainMs: integer({
    name: 'SIGNALBOX_DRAIN_DEADLINE',
    ...{ unit: 'ms', min: 0, max: 600 * seconds, fallback: '10000' },
    doc: 'How long a stop may take before what still runs is cut off.',
  }),

  databaseConnections: integer({
    name: 'SIGNALBOX_DATABASE_CONNECTIONS',
    ...{ unit: 'connections', min: 2, max: 500, fallback: '10' },
    doc: 'Connections of the pool; one more listens for notifications.',
  }),
  databaseWaiting: integer({
    name: 'SIGNALBOX_DATABASE_WAITING',
    ...{ unit: 'transactions', min: 1, max: 10_000, fallback: '100' },
    doc: 'Transactions that may wait for a connection; more are answered "unavailable".',
  }),
  statementTimeoutMs: integer({
    name: 'SIGNALBOX_DATABASE_STATEMENT_TIMEOUT',
    ...{ unit: 'ms', min: 100, max: 600 * seconds, fallback: '5000' },
    doc: 'Longest time of one statement; a transaction may stand idle twice as long. A connection on which nothing comes back for so long and SIGNALBOX_DATABASE_CONNECT_TIMEOUT more is given up.',
  }),
  transactionTimeoutMs: integer({
    name: 'SIGNALBOX_DATABASE_TRANSACTION_TIMEOUT',
    ...{ unit: 'ms', min: 1 * seconds, max: 3_600 * seconds, fallback: '60000' },
    doc: 'Longest time of one transaction; then its connection is cut.',
  }),
  lockTimeoutMs: integer({
    name: 'SIGNALBOX_DATABASE_LOCK_TIMEOUT',
    ...{ unit: 'ms', min: 100, max: 600 * seconds, fallback: '3000' },
    doc: 'Longest wait for a lock that another writer holds.',
  }),
  connectTimeoutMs: integer({
    name: 'SIGNALBOX_DATABASE_CONNECT_TIMEOUT',
    ...{ unit: 'ms', min: 100, max: 600 * seconds, fallback: '5000' },
    doc: 'Longest time in which a connection to Postgres must be made.',
  }),
  databaseRetryMs: integer({
    name: 'SIGNALBOX_DATABASE_RETRY',
    ...{ unit: 'ms', min: 0, max: 60 * seconds, fallback: '300' },
    doc: 'After Postgres could not be reached it is not tried for so long, and then by one at a time until one reaches it: all else that needs it fails at once.',
  }),
  state: text(
    {
      name: 'SIGNALBOX_STATE',
      fallback: '',
      doc: 'Folder for a snapshot of what this replica serves, from which it starts, read-only, while Postgres is down. Empty: none is written. One folder a replica.',
    },
    'path',
  ),
  snapshotMs: integer({
    name: 'SIGNALBOX_SNAPSHOT_INTERVAL',
    ...{ unit: 'ms', min: 100, max: 3_600 * seconds, fallback: '30000' },
    doc: 'Time between two snapshots of what this replica serves.',
  }),
  snapshotBytes: integer({
    name: 'SIGNALBOX_SNAPSHOT_BYTES',
    ...{ unit: 'bytes', min: 1024, max: 2 * 1024 * mebibyte, fallback: String(1024 * mebibyte) },
    doc: 'A larger snapshot is not read.',
  }),
  bootstrapToken: secret({
    name: 'SIGNALBOX_BOOTSTRAP_TOKEN',
    doc: 'A token of the operator that is created at the start if the database does not have it: nobody is locked out who can set it. Make one with "signalbox token generate". Empty: the first start makes one and shows it once.',
  }),
  migrationDeadlineMs: integer({
    name: 'SIGNALBOX_MIGRATION_DEADLINE',
    ...{ unit: 'ms', min: 0, max: 3_600 * seconds, fallback: '120000' },
    doc: 'How long a start tries to get the locks that a migration of the database needs.',
  }),
  requestIdHours: integer({
    name: 'SIGNALBOX_REQUEST_ID_RETENTION',
    ...{ unit: 'h', min: 1, max: 8_760, fallback: '168' },
    doc: 'How long a repeated request id has the effect of the first request.',
  }),
  cachedResources: integer({
    name: 'SIGNALBOX_SNAPSHOT_RESOURCES',
    ...{ unit: 'resources', min: 0, max: 100_000_000, fallback: '200000' },
    doc: 'Resources of the scopes that are kept in memory, so that a write need not read its whole scope.',
  }),
  planTables: integer({
    name: 'SIGNALBOX_PLAN_TABLES',
    ...{ unit: 'tables', min: 0, max: 1_000_000, fallback: '100' },
    doc: 'Tenants whose last compiled table is kept, so that a write compiles only what it changes.',
  }),

  pollMs: integer({
    name: 'SIGNALBOX_TAIL_POLL',
    ...{ unit: 'ms', min: 10, max: 60 * seconds, fallback: '250' },
    doc: 'How often the log of changes is read although no notification came.',
  }),
  tailPageRows: integer({
    name: 'SIGNALBOX_TAIL_PAGE',
    ...{ unit: 'rows', min: 10, max: 100_000, fallback: '5000' },
    doc: 'Rows of the log of changes that one query reads.',
  }),
  tailPassRows: integer({
    name: 'SIGNALBOX_TAIL_ROWS',
    ...{ unit: 'rows', min: 10, max: 10_000_000, fallback: '100000' },
    doc: 'Rows of the log of changes that are held at once; with more, scopes are read anew instead.',
  }),
  doorbellMs: integer({
    name: 'SIGNALBOX_DOORBELL_COALESCE',
    ...{ unit: 'ms', min: 0, max: 10 * seconds, fallback: '2' },
    doc: 'Commits within this time notify the other replicas once.',
  }),

  tokenCacheMs: integer({
    name: 'SIGNALBOX_TOKEN_CACHE',
    ...{ unit: 'ms', min: 0, max: 2 * seconds, fallback: '1000' },
    doc: 'How often Postgres is asked, for all tokens in use together, whether any has changed: a revocation takes effect within it.',
  }),
  tokenCacheSize: integer({
    name: 'SIGNALBOX_TOKEN_CACHE_SIZE',
    ...{ unit: 'tokens', min: 1, max: 1_000_000, fallback: '10000' },
    doc: 'Tokens of which an answer is kept.',
  }),
  tokensMax: integer({
    name: 'SIGNALBOX_TOKENS_MAX',
    ...{ unit: 'tokens', min: 1, max: 1_000_000, fallback: '10000' },
    doc: 'Tokens that may exist, revoked ones included.',
  }),

  bodyBytes: integer({
    name: 'SIGNALBOX_API_BODY',
    ...{ unit: 'bytes', min: 1024, max: 256 * mebibyte, fallback: String(8 * mebibyte) },
    doc: 'Largest request of the admin API, decompressed.',
  }),
  applyResources: integer({
    name: 'SIGNALBOX_API_RESOURCES',
    ...{ unit: 'resources', min: 1, max: 1_000_000, fallback: '10000' },
    doc: 'Resources that one request may create, replace or delete.',
  }),
  messageLength: integer({
    name: 'SIGNALBOX_API_MESSAGE',
    ...{ unit: 'characters', min: 1, max: 100_000, fallback: '1000' },
    doc: 'Longest message of a revision.',
  }),
  problemsMax: integer({
    name: 'SIGNALBOX_API_PROBLEMS',
    ...{ unit: 'problems', min: 1, max: 10_000, fallback: '100' },
    doc: 'Problems that one answer names.',
  }),
  scopeResources: integer({
    name: 'SIGNALBOX_SCOPE_RESOURCES',
    ...{ unit: 'resources', min: 1, max: 1_000_000, fallback: '50000' },
    doc: 'Resources that one tenant, or the operator, may have. No more than nodes accept.',
  }),
  scopeBytes: integer({
    name: 'SIGNALBOX_SCOPE_BYTES',
    ...{ unit: 'bytes', min: 1024, max: 1024 * mebibyte, fallback: String(64 * mebibyte) },
    doc: 'Size of all resources of one scope. No more than nodes accept.',
  }),
  removalMinimum: integer({
    name: 'SIGNALBOX_REMOVAL_MINIMUM',
    ...{ unit: 'resources', min: 1, max: 1_000_000, fallback: String(defaultRemovalLimits.minimum) },
    doc: 'A write that removes fewer resources of a scope needs no confirmation. No more than at nodes.',
  }),
  removalPercent: integer({
    name: 'SIGNALBOX_REMOVAL_PERCENT',
    ...{ unit: '%', min: 1, max: 100, fallback: String(defaultRemovalLimits.percent) },
    doc: 'A write that removes more than this share of a scope has to be confirmed (apply --confirm-removal). 100: none has.',
  }),
  apiConnections: integer({
    name: 'SIGNALBOX_API_CONNECTIONS',
    ...{ unit: 'connections', min: 1, max: 100_000, fallback: '1000' },
    doc: 'Connections to the admin API.',
  }),
  apiRequestMs: integer({
    name: 'SIGNALBOX_API_REQUEST_TIMEOUT',
    ...{ unit: 'ms', min: 100, max: 600 * seconds, fallback: '30000' },
    doc: 'Longest time in which a whole request must have arrived.',
  }),
  dumpResources: integer({
    name: 'SIGNALBOX_API_DUMP_RESOURCES',
    ...{ unit: 'resources', min: 1, max: 10_000_000, fallback: '20000' },
    doc: 'Resources in one answer of DumpConfig; what has more is asked for by tenant.',
  }),
  watches: integer({
    name: 'SIGNALBOX_API_WATCHES',
    ...{ unit: 'streams', min: 1, max: 100_000, fallback: '200' },
    doc: 'Streams of the API that may be open at once: of propagation and of nodes.',
  }),
  watchRecheckMs: integer({
    name: 'SIGNALBOX_API_RECHECK',
    ...{ unit: 'ms', min: 100, max: 3_600 * seconds, fallback: '2000' },
    doc: 'How often the token behind an open stream of the API is checked again: a revoked one ends it.',
  }),
  watchMs: integer({
    name: 'SIGNALBOX_API_WATCH_MAX',
    ...{ unit: 'ms', min: 1 * seconds, max: 86_400 * seconds, fallback: '600000' },
    doc: 'Longest life of a stream of the API.',
  }),
  watchIntervalMs: integer({
    name: 'SIGNALBOX_API_WATCH_INTERVAL',
    ...{ unit: 'ms', min: 0, max: 60 * seconds, fallback: '20' },
    doc: 'Shortest time between two messages of a stream of the API.',
  }),

  debounceQuietMs: integer({
    name: 'SIGNALBOX_PUBLISH_QUIET',
    ...{ unit: 'ms', min: 0, max: 10 * seconds, fallback: '5' },
    doc: 'A burst of commits of one scope is published as one when so long nothing followed; a single one at once.',
  }),
  debounceMaxMs: integer({
    name: 'SIGNALBOX_PUBLISH_MAX',
    ...{ unit: 'ms', min: 0, max: 60 * seconds, fallback: '50' },
    doc: 'No commit waits longer than this to be published.',
  }),
  rememberedChanges: integer({
    name: 'SIGNALBOX_PUBLISH_REMEMBERED',
    ...{ unit: 'changes', min: 0, max: 10_000_000, fallback: '10000' },
    doc: 'Changes of one kind of one scope that are remembered, so that a node that lags is served the difference.',
  }),
  discoveryStreams: integer({
    name: 'SIGNALBOX_DISCOVERY_STREAMS',
    ...{ unit: 'streams', min: 1, max: 1_000_000, fallback: '10000' },
    doc: 'Discovery streams at one time.',
  }),
  discoveryAdmission: integer({
    name: 'SIGNALBOX_DISCOVERY_ADMISSION',
    ...{ unit: 'streams/s', min: 1, max: 1_000_000, fallback: '750' },
    doc: 'Discovery streams that are let in a second; the others are told when to come back.',
  }),
  discoveryBurst: integer({
    name: 'SIGNALBOX_DISCOVERY_BURST',
    ...{ unit: 'streams', min: 1, max: 1_000_000, fallback: '1000' },
    doc: 'Discovery streams that are let in at once after a quiet time.',
  }),
  discoveryViews: integer({
    name: 'SIGNALBOX_DISCOVERY_VIEWS',
    ...{ unit: 'views', min: 1, max: 100_000, fallback: '100' },
    doc: 'Different sets of tenants, by gateway, that subscribers of one foreign family may have at one time.',
  }),
  discoveryScopes: integer({
    name: 'SIGNALBOX_DISCOVERY_SCOPES',
    ...{ unit: 'sets', min: 1, max: 1_000_000, fallback: '10000' },
    doc: 'Different sets of tenants, by name or by label selector, that tokens in use may be bound to at one time.',
  }),
  discoveryTypes: integer({
    name: 'SIGNALBOX_DISCOVERY_TYPES',
    ...{ unit: 'types', min: 1, max: 1_000, fallback: '64' },
    doc: 'Resource types that one stream may ask for.',
  }),
  discoveryNames: integer({
    name: 'SIGNALBOX_DISCOVERY_NAMES',
    ...{ unit: 'names', min: 1, max: 10_000_000, fallback: '100000' },
    doc: 'Resource names that one stream may subscribe to.',
  }),
  discoveryRequestBytes: integer({
    name: 'SIGNALBOX_DISCOVERY_REQUEST',
    ...{ unit: 'bytes', min: 1024, max: 1024 * mebibyte, fallback: String(64 * mebibyte) },
    doc: 'Largest request of a node: it names all that the node holds.',
  }),
  discoveryResponseBytes: integer({
    name: 'SIGNALBOX_DISCOVERY_RESPONSE',
    ...{ unit: 'bytes', min: 1024, max: 1024 * mebibyte, fallback: String(256 * kibibyte) },
    doc: 'Responses larger than this are split. No resource may be larger: to decode one must not hold a node up.',
  }),
  discoveryStreamAgeMs: integer({
    name: 'SIGNALBOX_DISCOVERY_STREAM_AGE',
    ...{ unit: 'ms', min: 1 * seconds, max: 7 * 86_400 * seconds, fallback: '1800000' },
    doc: 'Age at which a stream is asked to reconnect, give or take a fifth.',
  }),
  discoveryStreamGraceMs: integer({
    name: 'SIGNALBOX_DISCOVERY_STREAM_GRACE',
    ...{ unit: 'ms', min: 0, max: 600 * seconds, fallback: '30000' },
    doc: 'How long a stream that reached its age may go on with the round it is in.',
  }),
  discoveryHandshakeMs: integer({
    name: 'SIGNALBOX_DISCOVERY_HANDSHAKE',
    ...{ unit: 'ms', min: 100, max: 600 * seconds, fallback: '10000' },
    doc: 'How long the first request of a stream and its authentication may take.',
  }),
  discoveryRecheckMs: integer({
    name: 'SIGNALBOX_DISCOVERY_RECHECK',
    ...{ unit: 'ms', min: 100, max: 3_600 * seconds, fallback: '2000' },
    doc: 'How often the token of an open stream is checked again: a revoked one ends it.',
  }),
  discoveryRemovalMs: integer({
    name: 'SIGNALBOX_DISCOVERY_REMOVAL',
    ...{ unit: 'ms', min: 100, max: 600 * seconds, fallback: '5000' },
    doc: 'How long the removal of what others refer to waits for the answer of a subscriber that they refer to it no more.',
  }),
  discoveryAnswerMs: integer({
    name: 'SIGNALBOX_DISCOVERY_ANSWER',
    ...{ unit: 'ms', min: 1 * seconds, max: 3_600 * seconds, fallback: '60000' },
    doc: 'How long a node may take to answer a response before its stream is ended.',
  }),
  discoveryKeepaliveMs: integer({
    name: 'SIGNALBOX_DISCOVERY_KEEPALIVE',
    ...{ unit: 'ms', min: 1 * seconds, max: 3_600 * seconds, fallback: '10000' },
    doc: 'Time between pings that find a half-open connection of a node.',
  }),
  discoveryKeepaliveTimeoutMs: integer({
    name: 'SIGNALBOX_DISCOVERY_KEEPALIVE_TIMEOUT',
    ...{ unit: 'ms', min: 100, max: 600 * seconds, fallback: '5000' },
    doc: 'How long the answer to a ping may take.',
  }),
  rememberedNodes: integer({
    name: 'SIGNALBOX_NODES_REMEMBERED',
    ...{ unit: 'nodes', min: 0, max: 1_000_000, fallback: '1000' },
    doc: 'Nodes that are remembered after their stream has ended.',
  }),
  nodesReturnMs: integer({
    name: 'SIGNALBOX_NODES_RETURN',
    ...{ unit: 'ms', min: 0, max: 3_600 * seconds, fallback: '15000' },
    doc: 'How long a revision waits for a node that left without having answered: it may be about to come back, here or to another replica.',
  }),
  replicaName: text(
    {
      name: 'SIGNALBOX_REPLICA',
      fallback: '',
      doc: 'Name of this control plane among its replicas, for people. Empty: the name of the host and the port of discovery.',
    },
    'name',
  ),
  replicaLeaseMs: integer({
    name: 'SIGNALBOX_REPLICA_LEASE',
    ...{ unit: 'ms', min: 500, max: 600 * seconds, fallback: '10000' },
    doc: 'A replica that has not told the others anything for so long counts as gone, with the nodes that it has. It tells something three times as often.',
  }),
  replicaRetentionMs: integer({
    name: 'SIGNALBOX_REPLICA_RETENTION',
    ...{ unit: 'ms', min: 1 * seconds, max: 30 * 86_400 * seconds, fallback: '3600000' },
    doc: 'How long what a replica told is kept after it has gone.',
  }),
  fleetReportMs: integer({
    name: 'SIGNALBOX_FLEET_REPORT',
    ...{ unit: 'ms', min: 1, max: 60 * seconds, fallback: '100' },
    doc: 'Changes of nodes within this time are told to the other replicas at once.',
  }),
  fleetReportRows: integer({
    name: 'SIGNALBOX_FLEET_ROWS',
    ...{ unit: 'rows', min: 10, max: 100_000, fallback: '2000' },
    doc: 'Nodes, and scopes, of one report to the other replicas; with more there are several.',
  }),
  rolloutMs: integer({
    name: 'SIGNALBOX_ROLLOUT_INTERVAL',
    ...{ unit: 'ms', min: 10, max: 60 * seconds, fallback: '1000' },
    doc: 'How often this replica looks whether a rollout goes on or has to be taken back, while one is under way.',
  }),
  nodeReportMs: integer({
    name: 'SIGNALBOX_NODE_REPORT',
    ...{ unit: 'ms', min: 10, max: 60 * seconds, fallback: '2000' },
    doc: 'How often nodes report how they do, while something is rolled out that they may know.',
  }),
  nodeReportIdleMs: integer({
    name: 'SIGNALBOX_NODE_REPORT_IDLE',
    ...{ unit: 'ms', min: 10, max: 600 * seconds, fallback: '10000' },
    doc: 'How often nodes ask whether they are to report: a rollout hears of them after this at the latest.',
  }),
  fleetPollMs: integer({
    name: 'SIGNALBOX_FLEET_POLL',
    ...{ unit: 'ms', min: 10, max: 60 * seconds, fallback: '100' },
    doc: 'How often the reports of other replicas are read while somebody watches nodes or a revision.',
  }),
  propagationRevisions: integer({
    name: 'SIGNALBOX_PROPAGATION_REVISIONS',
    ...{ unit: 'revisions', min: 1, max: 100, fallback: '5' },
    doc: 'Revisions of each scope of which it is remembered how fast they reached the nodes.',
  }),
  ...catalogSettings,
};

export type ControlPlaneSettings = Settings<typeof controlPlaneSettings>;
