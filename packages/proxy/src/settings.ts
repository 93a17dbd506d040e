import {
  choice,
  flag,
  hostPort,
  integer,
  logLevels,
  readSettings,
  Secret,
  secret,
  type Setting,
  type Settings,
  text,
} from '@signalbox/runtime';
import { defaultRemovalLimits, defaultTableLimits } from '@signalbox/config';
import { bridgeSettings } from './bridge/settings.ts';
import { catalogSettings } from './catalog/settings.ts';
import { handleSettings } from './handles/settings.ts';
import { httpSseClientSettings } from './http-sse-clients/settings.ts';
import { federationSettings } from './federation/settings.ts';
import { healthSettings } from './health/settings.ts';
import { httpCodecs } from './http/http-codecs.ts';
import { defaultHttpServerLimits, http2Modes } from './http/http-server.ts';
import { defaultRequestLimits } from './mcp/request-limits.ts';
import { nodesSettings } from './nodes/settings.ts';
import { overloadSettings } from './overload/settings.ts';
import { identitySettings } from './session/settings.ts';
import { parseSessionKeys, type SessionKeys } from './session/session-keys.ts';
import { bytes, count, maxCount, ms } from './setting-kinds.ts';
import { toolSearchSettings } from './tool-search/settings.ts';
import { workerSettings } from './workers/settings.ts';
import { upstreamSettings } from './upstream/settings.ts';

const request = defaultRequestLimits;
const server = defaultHttpServerLimits;

/** Everything that can be set about a proxy, as it stands in its environment. */
export const proxySettings = {
  logLevel: choice({
    name: 'SIGNALBOX_LOG_LEVEL',
    fallback: 'info',
    options: logLevels,
    doc: 'Least severe log line that is written.',
  }),

  ...workerSettings,

  // What to serve, and where.
  config: text(
    {
      name: 'SIGNALBOX_PROXY_CONFIG',
      fallback: '',
      doc: 'File or folder of resources to serve without a control plane. Empty: ask the control plane.',
    },
    'path',
  ),
  gateway: text(
    { name: 'SIGNALBOX_PROXY_GATEWAY', fallback: 'default', doc: 'Name of the Gateway that this node serves.' },
    'name',
  ),
  address: text(
    {
      name: 'SIGNALBOX_PROXY_ADDRESS',
      fallback: '127.0.0.1',
      doc: 'Address that the listeners of the gateway are bound to.',
    },
    'address',
  ),
  listen: hostPort({
    name: 'SIGNALBOX_PROXY_LISTEN',
    fallback: '',
    doc: 'One address to listen on instead of all listeners of the gateway: for several nodes on one machine. It answers to the host names of all of them.',
  }),
  adminListen: hostPort({
    name: 'SIGNALBOX_PROXY_ADMIN_LISTEN',
    fallback: '127.0.0.1:8090',
    doc: 'Where /healthz, /readyz, /metrics, /config_dump and /members answer. Keep it on the machine.',
  }),
  state: text(
    {
      name: 'SIGNALBOX_PROXY_STATE',
      fallback: '.signalbox/proxy',
      doc: 'Folder for what outlives the process: the node’s name, the last good sets and outcome events. One folder a node.',
    },
    'path',
  ),
  stateKey: key({
    name: 'SIGNALBOX_PROXY_STATE_KEY',
    doc: 'Key that seals the last good sets on disk: 32 bytes in base64. Empty: they are plain files that only their owner can read.',
  }),
  eventsFile: text(
    {
      name: 'SIGNALBOX_PROXY_EVENTS_FILE',
      fallback: '',
      doc: 'File that outcome events are appended to, one JSON object a line. Empty: events.jsonl in the state folder.',
    },
    'path',
  ),

  tlsCert: text(
    {
      name: 'SIGNALBOX_PROXY_TLS_CERT',
      fallback: '',
      doc: 'PEM file with the certificate of the listeners and its intermediates. Empty: they are plaintext, for a machine or a terminator in front.',
    },
    'path',
  ),
  tlsKey: text(
    { name: 'SIGNALBOX_PROXY_TLS_KEY', fallback: '', doc: 'PEM file with the key of that certificate.' },
    'path',
  ),
  tlsPoll: ms(
    'SIGNALBOX_TLS_POLL',
    1_000,
    'How often certificates and keys are looked at: replaced ones are used for new connections, unusable ones are reported and change nothing.',
  ),
  certificates: text(
    {
      name: 'SIGNALBOX_PROXY_CERTIFICATES',
      fallback: '',
      doc: 'Folder of the certificates that backends are shown, as <tenant>/<name>/tls.crt and tls.key. They are read when a connection needs one, and again when they were replaced.',
    },
    'path',
  ),

  // The control plane.
  discoveryAddress: hostPort({
    name: 'SIGNALBOX_PROXY_DISCOVERY_ADDRESS',
    fallback: '127.0.0.1:7071',
    doc: 'Where the control plane answers discovery.',
  }),
  allowPlaintext: flag({
    name: 'SIGNALBOX_ALLOW_PLAINTEXT',
    fallback: 'false',
    doc: 'Whether credentials may leave this machine without TLS: true where something else protects the way, such as a mesh or a terminator. Otherwise such a start is refused.',
  }),
  discoveryToken: secret({ name: 'SIGNALBOX_PROXY_TOKEN', doc: 'Token of this node at the control plane.' }),
  joinToken: secret({
    name: 'SIGNALBOX_PROXY_JOIN_TOKEN',
    doc: 'One-time token ("signalbox token create --join") with which this node gets its certificate. The certificate is kept in the state folder and renewed; the token is used only while there is none, and need not be set later.',
  }),
  joinAddress: hostPort({
    name: 'SIGNALBOX_PROXY_JOIN_ADDRESS',
    fallback: '',
    doc: 'Discovery of the control plane that signs certificates, for a node below a relay, which signs none. Empty: where discovery is.',
  }),
  discoveryCert: text(
    {
      name: 'SIGNALBOX_PROXY_DISCOVERY_CERT',
      fallback: '',
      doc: 'PEM file with a certificate for this node that somebody else renews: its name is spiffe://<trust domain>/gateway/<gateway>/node/<node id>.',
    },
    'path',
  ),
  discoveryKey: text(
    { name: 'SIGNALBOX_PROXY_DISCOVERY_KEY', fallback: '', doc: 'PEM file with the key of that certificate.' },
    'path',
  ),
  discoveryCa: text(
    {
      name: 'SIGNALBOX_PROXY_DISCOVERY_CA',
      fallback: '',
      doc: 'PEM file with the certificates that the control plane’s own must be signed by. Empty: the connection is not encrypted.',
    },
    'path',
  ),
  nodeId: text(
    {
      name: 'SIGNALBOX_PROXY_NODE_ID',
      fallback: '',
      doc: 'Name of this node. Empty: made from the host’s name once and kept in the state folder.',
    },
    'name',
  ),
  discoveryBackoffMin: ms(
    'SIGNALBOX_PROXY_DISCOVERY_BACKOFF_MIN',
    100,
    'Shortest wait before the control plane is dialed again.',
  ),
  discoveryBackoffMax: ms(
    'SIGNALBOX_PROXY_DISCOVERY_BACKOFF_MAX',
    30_000,
    'Longest wait before the control plane is dialed again.',
  ),
  discoveryStableAfter: ms(
    'SIGNALBOX_PROXY_DISCOVERY_STABLE_AFTER',
    10_000,
    'How long a stream must last for waits to start short again.',
  ),
  discoveryConnectTimeout: ms(
    'SIGNALBOX_PROXY_DISCOVERY_CONNECT_TIMEOUT',
    10_000,
    'How long connecting to the control plane may take.',
  ),
  ...healthSettings,
  ...catalogSettings,
  discoveryKeepaliveInterval: ms(
    'SIGNALBOX_PROXY_DISCOVERY_KEEPALIVE_INTERVAL',
    10_000,
    'Time between pings that find a half-open connection.',
  ),
  discoveryKeepaliveTimeout: ms(
    'SIGNALBOX_PROXY_DISCOVERY_KEEPALIVE_TIMEOUT',
    5_000,
    'How long the answer to a ping may take.',
  ),
  tenants: choice({
    name: 'SIGNALBOX_PROXY_TENANTS',
    fallback: 'all',
    options: ['all', 'on-demand'],
    doc: 'Which tenants this node holds, of those that its token covers: all, or on-demand: each from its first request until nobody uses it.',
  }),
  maxTenantsOnDemand: count(
    'SIGNALBOX_PROXY_TENANTS_MAX',
    1_000,
    'Tenants that are held on demand. Beyond: the one that was not used for longest is given up; when all are in use, requests for others are answered 503.',
  ),
  tenantWait: ms('SIGNALBOX_PROXY_TENANT_WAIT', 3_000, 'How long a request waits for its tenant, on demand.'),
  maxTenantWaits: count(
    'SIGNALBOX_PROXY_TENANT_WAITING',
    1_000,
    'Requests that wait for tenants at a time, on demand.',
  ),
  tenantIdle: ms(
    'SIGNALBOX_PROXY_TENANT_IDLE',
    600_000,
    'How long a tenant without requests and open streams is held, on demand.',
  ),
  tenantRetry: ms(
    'SIGNALBOX_PROXY_TENANT_RETRY',
    5_000,
    'How long a tenant that could not be had is not asked for again, on demand.',
  ),
  discoveryResponse: bytes(
    'SIGNALBOX_PROXY_DISCOVERY_RESPONSE',
    4 * 1024 * 1024,
    'One discovery response. Beyond: the stream is ended.',
  ),

  // Sets and tables.
  maxRoutesPerTenant: count(
    'SIGNALBOX_PROXY_MAX_ROUTES_PER_TENANT',
    defaultTableLimits.routes,
    'Routes of one tenant. A set with more is refused whole.',
  ),
  maxScopes: count('SIGNALBOX_PROXY_MAX_SCOPES', 100_000, 'Tenants, and the operator, that a node holds.'),
  maxScopeResources: count(
    'SIGNALBOX_PROXY_MAX_SCOPE_RESOURCES',
    defaultTableLimits.resources,
    'Resources of one scope. A set with more is refused whole.',
  ),
  removalMinimum: integer({
    name: 'SIGNALBOX_PROXY_REMOVAL_MINIMUM',
    ...{ unit: 'resources', min: 1, max: maxCount, fallback: String(defaultRemovalLimits.minimum) },
    doc: 'A set that loses fewer resources is served without a confirmation.',
  }),
  removalPercent: integer({
    name: 'SIGNALBOX_PROXY_REMOVAL_PERCENT',
    ...{ unit: '%', min: 1, max: 100, fallback: String(defaultRemovalLimits.percent) },
    doc: 'A set that loses more than this share of its resources is refused unless its removal was confirmed. 100: none is.',
  }),
  maxScopeBytes: bytes(
    'SIGNALBOX_PROXY_MAX_SCOPE_BYTES',
    defaultTableLimits.bytes,
    'Resources of one scope together. A set with more is refused whole.',
  ),
  maxRulesPerRoute: count(
    'SIGNALBOX_PROXY_MAX_RULES_PER_ROUTE',
    defaultTableLimits.rulesPerRoute,
    'Authorization rules that apply to one route. A set with more is refused whole.',
  ),
  slice: ms(
    'SIGNALBOX_PROXY_SLICE',
    1,
    'Longest time that compiling tables, re-checking streams and reading lists for search hold up requests at once.',
  ),
  lastGoodRetry: ms(
    'SIGNALBOX_PROXY_LAST_GOOD_RETRY',
    5_000,
    'Wait before a set that could not be written to disk is tried again.',
  ),
  configDebounce: ms(
    'SIGNALBOX_PROXY_CONFIG_DEBOUNCE',
    50,
    'How long a change of configuration files settles before it is read.',
  ),
  configPoll: ms(
    'SIGNALBOX_PROXY_CONFIG_POLL',
    2_000,
    'How often configuration files are looked at, whether or not the system told of a change.',
  ),
  maxConfigFiles: count('SIGNALBOX_PROXY_MAX_CONFIG_FILES', 1_000, 'Configuration files in a folder.'),
  maxConfigBytes: bytes('SIGNALBOX_PROXY_MAX_CONFIG_BYTES', 64 * 1024 * 1024, 'Configuration files together.'),

  // Clients.
  httpCodec: choice({
    name: 'SIGNALBOX_PROXY_HTTP_CODEC',
    fallback: 'own',
    options: httpCodecs,
    doc: 'What reads and writes HTTP/1.1 of clients: the codec of this gateway, or that of Node.js.',
  }),
  maxHeaderBytes: bytes(
    'SIGNALBOX_PROXY_MAX_HEADER_BYTES',
    server.maxHeaderBytes,
    'Request line and headers together. Beyond: 431.',
  ),
  maxHeaders: count('SIGNALBOX_PROXY_MAX_HEADERS', server.maxHeaders, 'Header lines of a request. Beyond: 431.'),
  maxUrlBytes: bytes('SIGNALBOX_PROXY_MAX_URL_BYTES', server.maxUrlBytes, 'Request target. Beyond: 414.'),
  maxBodyBytes: bytes('SIGNALBOX_PROXY_MAX_BODY_BYTES', request.bodyBytes, 'Request body. Beyond: 413.'),
  maxDepth: count('SIGNALBOX_PROXY_MAX_DEPTH', request.requestScan.maxDepth, 'Nesting of a request body. Beyond: 400.'),
  maxKeys: count(
    'SIGNALBOX_PROXY_MAX_KEYS',
    request.requestScan.maxKeys,
    'Object members in a request body. Beyond: 400.',
  ),
  maxElements: count(
    'SIGNALBOX_PROXY_MAX_ELEMENTS',
    request.requestScan.maxElements,
    'Elements of an array in a request body. Beyond: 400.',
  ),
  maxStringBytes: bytes(
    'SIGNALBOX_PROXY_MAX_STRING_BYTES',
    request.requestScan.maxStringBytes,
    'One string in a request body. Beyond: 400.',
  ),
  maxBatch: count('SIGNALBOX_PROXY_MAX_BATCH', request.requestScan.maxBatch, 'Messages of a batch. Beyond: 400.'),
  maxTokenBytes: bytes(
    'SIGNALBOX_PROXY_MAX_TOKEN_BYTES',
    request.tokenBytes,
    'Bearer credential of a request. Beyond: 401.',
  ),
  headersTimeout: ms(
    'SIGNALBOX_PROXY_HEADERS_TIMEOUT',
    server.headersTimeoutMs,
    'Time for the head of a request. Beyond: 408.',
  ),
  requestTimeout: ms(
    'SIGNALBOX_PROXY_REQUEST_TIMEOUT',
    server.requestTimeoutMs,
    'Time for a whole request, body included. Beyond: 408.',
  ),
  keepAliveTimeout: ms(
    'SIGNALBOX_PROXY_KEEP_ALIVE_TIMEOUT',
    server.keepAliveTimeoutMs,
    'How long a connection may wait for its next request.',
  ),
  timeoutCheck: ms(
    'SIGNALBOX_PROXY_TIMEOUT_CHECK',
    server.checkIntervalMs,
    'How often the timeouts of clients are looked at.',
  ),
  writeTimeout: ms(
    'SIGNALBOX_PROXY_WRITE_TIMEOUT',
    server.writeTimeoutMs,
    'A client that takes nothing of its answer for so long is cut off.',
  ),
  minWriteRate: count(
    'SIGNALBOX_PROXY_MIN_WRITE_RATE',
    server.minWriteBytesPerSecond,
    'Slowest rate at which a client may take the rest of a finished answer.',
    'bytes per second',
  ),
  backlog: count(
    'SIGNALBOX_PROXY_BACKLOG',
    server.backlog,
    'Connections of a listener that may wait to be accepted; the system has a bound of its own (net.core.somaxconn).',
  ),
  maxConnections: count(
    'SIGNALBOX_PROXY_MAX_CONNECTIONS',
    server.maxConnections,
    'Connections of a listener. More are closed at once.',
  ),
  maxRequestsPerConnection: count(
    'SIGNALBOX_PROXY_MAX_REQUESTS_PER_CONNECTION',
    server.maxRequestsPerConnection,
    'Requests on a connection; the last answer closes it.',
  ),
  http2: choice({
    name: 'SIGNALBOX_PROXY_HTTP2',
    fallback: 'tls',
    options: http2Modes,
    doc: 'Where HTTP/2 of clients is spoken beside HTTP/1.1: nowhere, on encrypted connections whose client asks for it, or always: also on others that begin with it (prior knowledge).',
  }),
  maxStreamsPerConnection: count(
    'SIGNALBOX_PROXY_HTTP2_STREAMS',
    server.maxStreamsPerConnection,
    'Requests at a time on one connection of HTTP/2. More are refused, and may be sent again.',
  ),
  streamWindowBytes: integer({
    name: 'SIGNALBOX_PROXY_HTTP2_WINDOW_BYTES',
    fallback: String(server.streamWindowBytes),
    unit: 'bytes',
    min: 1_024,
    max: 2 ** 31 - 1,
    doc: 'Bytes of a request that may come over HTTP/2 before they are read.',
  }),
  maxStreamFaults: count(
    'SIGNALBOX_PROXY_HTTP2_FAULTS',
    server.maxStreamFaults,
    'Requests of one connection of HTTP/2 that may be cancelled, broken or refused before the connection is closed; a tenth of them is forgiven each second.',
  ),

  // Overload.
  ...overloadSettings,

  // Streams and sessions.
  maxStreams: count('SIGNALBOX_PROXY_MAX_STREAMS', 20_000, 'Open streams of this node. Beyond: 503.'),
  streamAge: ms('SIGNALBOX_PROXY_STREAM_AGE', request.streamMs, 'Longest life of a stream; its client comes back.'),
  streamBufferBytes: bytes(
    'SIGNALBOX_PROXY_STREAM_BUFFER_BYTES',
    request.streamBufferBytes,
    'What may wait for a client that reads slowly, a stream, before it is cut.',
  ),
  streamKeepAlive: ms(
    'SIGNALBOX_PROXY_STREAM_KEEP_ALIVE',
    request.keepAliveMs,
    'Silence after which a stream gets a comment line.',
  ),
  sessionKeys: sessionKeys({
    name: 'SIGNALBOX_SESSION_KEYS',
    doc: 'Keys that seal session ids: 32 bytes each in base64, separated by commas. The first seals, all of them open. Empty: one of this process alone, so that its sessions end with it.',
  }),
  sessionAge: ms('SIGNALBOX_PROXY_SESSION_AGE', request.sessionMs, 'Longest life of a session.'),
  sessionIdle: ms(
    'SIGNALBOX_PROXY_SESSION_IDLE',
    request.sessionIdleMs,
    'How long a session may go unused, as far as this node, and those that it shares state with, have seen; open streams and calls count as use. 0: as long as it lives.',
  ),
  endIdleSessions: flag({
    name: 'SIGNALBOX_PROXY_END_IDLE_SESSIONS',
    fallback: 'false',
    doc: 'Whether sessions that went unused on this node are ended at their servers although another node may be using them. Always so without SIGNALBOX_SESSION_KEYS: then no other node can.',
  }),
  maxSessions: count(
    'SIGNALBOX_PROXY_MAX_SESSIONS',
    request.openedSessions,
    'Opened sessions that are remembered; others are opened again from their id.',
  ),
  maxEndedSessions: count(
    'SIGNALBOX_PROXY_MAX_ENDED_SESSIONS',
    request.endedSessions,
    'Ended sessions that are remembered until they expire.',
  ),
  maxInFlightPerSession: count(
    'SIGNALBOX_PROXY_MAX_IN_FLIGHT_PER_SESSION',
    request.inFlightPerSession,
    'Requests of a session that can be cancelled at a time.',
  ),

  // Identity.
  ...identitySettings,

  // Upstreams.
  ...upstreamSettings,
  maxHeldAnswerBytes: bytes(
    'SIGNALBOX_PROXY_MAX_HELD_ANSWER_BYTES',
    request.heldAnswerBytes,
    'Answers that have to be seen whole, such as lists. Beyond: the request fails.',
  ),
  maxWholeAnswerBytes: bytes(
    'SIGNALBOX_PROXY_MAX_WHOLE_ANSWER_BYTES',
    request.wholeAnswerBytes,
    'Answers up to this size are sent at once; larger ones pass through in pieces.',
  ),
  maxEventBytes: bytes(
    'SIGNALBOX_PROXY_MAX_EVENT_BYTES',
    request.eventBytes,
    'One event of an upstream’s stream. Beyond: the stream fails.',
  ),
  eraHorizon: ms(
    'SIGNALBOX_PROXY_ERA_HORIZON',
    request.eraHorizonMs,
    'Age at which it is looked into again which revision of MCP an upstream speaks.',
  ),
  maxBackends: count(
    'SIGNALBOX_PROXY_MAX_BACKENDS',
    request.backends,
    'Backends whose revision of MCP and tool names are remembered.',
  ),
  maxToolsPerBackend: count(
    'SIGNALBOX_PROXY_MAX_TOOLS_PER_BACKEND',
    request.toolsPerBackend,
    'Tool names of a backend that are remembered.',
  ),
  maxRateLimitBuckets: count(
    'SIGNALBOX_PROXY_MAX_RATE_LIMIT_BUCKETS',
    request.rateLimitBuckets,
    'Allowances of rate limits that are remembered, one for each caller, route or tool that a limit is divided by. Full ones give way first.',
  ),
  maxCardBytes: bytes(
    'SIGNALBOX_PROXY_MAX_CARD_BYTES',
    request.cardBytes,
    'The card of an A2A agent. Beyond: the request fails.',
  ),

  ...bridgeSettings,
  ...handleSettings,
  ...httpSseClientSettings,
  ...federationSettings,
  ...toolSearchSettings,

  // Other nodes.
  ...nodesSettings,

  // Events and the end.
  maxEvents: count(
    'SIGNALBOX_PROXY_MAX_EVENTS',
    100_000,
    'Outcome events that wait to be written. More are counted as lost.',
  ),
  eventBatch: count('SIGNALBOX_PROXY_EVENT_BATCH', 512, 'Outcome events that are written together.'),
  eventFlush: ms('SIGNALBOX_PROXY_EVENT_FLUSH', 100, 'How long an outcome event waits for others.'),
  maxEventsFileBytes: bytes(
    'SIGNALBOX_PROXY_MAX_EVENTS_FILE_BYTES',
    64 * 1024 * 1024,
    'Size at which the file of outcome events is put aside and a new one begun.',
  ),
  maxEventsFiles: count('SIGNALBOX_PROXY_MAX_EVENTS_FILES', 5, 'Files of outcome events that are kept.'),
  drainDeadline: ms(
    'SIGNALBOX_PROXY_DRAIN_DEADLINE',
    30_000,
    'Time from the signal to stop to the end of the process.',
  ),
  drainAccept: ms(
    'SIGNALBOX_PROXY_DRAIN_ACCEPT',
    5_000,
    'How long a node that stops still accepts connections, so that load balancers notice first.',
  ),
  drainSpread: ms('SIGNALBOX_PROXY_DRAIN_SPREAD', 10_000, 'Time over which open streams are ended.'),
  drainRetry: ms(
    'SIGNALBOX_PROXY_DRAIN_RETRY',
    request.drainRetryMs,
    'Clients of ended streams are told to come back after up to this long.',
  ),
} as const;

export type ProxySettings = Settings<typeof proxySettings>;

/** @throws SettingsError naming every variable that cannot be used. */
export function readProxySettings(environment: Readonly<Record<string, string | undefined>>): ProxySettings {
  return readSettings(proxySettings, environment);
}

interface Named {
  readonly name: string;
  readonly doc: string;
}

/** A key of 32 bytes in base64. */
function key(named: Named): Setting<Secret<Buffer> | undefined> {
  return {
    ...named,
    unit: 'base64',
    fallback: '',
    parse: (value) => {
      if (value === '') return { value: undefined };
      const decoded = Buffer.from(value, 'base64');
      if (decoded.length !== 32) return { problem: 'expected 32 bytes in base64; make one: openssl rand -base64 32' };
      return { value: new Secret(decoded) };
    },
  };
}

function sessionKeys(named: Named): Setting<Secret<SessionKeys> | undefined> {
  return {
    ...named,
    unit: 'base64,…',
    fallback: '',
    parse: (value) => {
      if (value === '') return { value: undefined };
      const parsed = parseSessionKeys(value);
      return 'problem' in parsed ? parsed : { value: new Secret(parsed.keys) };
    },
  };
}
