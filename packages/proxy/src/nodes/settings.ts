import { secret, type Setting, type Settings, Secret, text } from '@signalbox/runtime';
import { bound, bytes, count, ms } from '../setting-kinds.ts';
import { defaultNodesLimits, type NodesLimits } from './limits.ts';

const fallback = defaultNodesLimits;

/** What can be set about the state that nodes share: part of the settings of a proxy. */
export const nodesSettings = {
  redisUrl: redisUrl({
    name: 'REDIS_URL',
    doc: 'Redis 6.2 or newer that the nodes of a gateway share: redis://user:password@host:port/database, rediss:// for TLS, or the path of a socket. Needs SIGNALBOX_SESSION_KEYS. Empty: this node shares nothing, which is enough when it is the only one.',
  }),
  redisUser: text(
    { name: 'SIGNALBOX_REDIS_USER', fallback: '', doc: 'User at Redis, instead of the one in its URL.' },
    'name',
  ),
  redisPassword: secret({ name: 'SIGNALBOX_REDIS_PASSWORD', doc: 'Its password, instead of the one in the URL.' }),
  redisCa: text(
    {
      name: 'SIGNALBOX_REDIS_CA',
      fallback: '',
      doc: 'PEM file with the certificates that the one of Redis must be signed by. Read at the start. Empty: those that the machine trusts.',
    },
    'path',
  ),
  redisCert: text(
    {
      name: 'SIGNALBOX_REDIS_CERT',
      fallback: '',
      doc: 'PEM file with a certificate that Redis is shown. Read at the start.',
    },
    'path',
  ),
  redisKey: text(
    { name: 'SIGNALBOX_REDIS_KEY', fallback: '', doc: 'PEM file with the key of that certificate.' },
    'path',
  ),
  redisPrefix: text(
    {
      name: 'SIGNALBOX_REDIS_PREFIX',
      fallback: 'signalbox:',
      doc: 'What all keys and channels in Redis begin with. Nodes that serve the same clients have the same one.',
    },
    'text',
  ),
  redisConnectTimeout: ms('SIGNALBOX_REDIS_CONNECT_TIMEOUT', 2_000, 'How long connecting to Redis may take.'),
  redisTimeout: ms(
    'SIGNALBOX_REDIS_TIMEOUT',
    1_000,
    'How long Redis may take to answer. Beyond: what needs the answer fails, and the connection is made anew.',
  ),
  redisRetryMin: ms('SIGNALBOX_REDIS_RETRY_MIN', 50, 'Shortest wait before Redis is connected to again.'),
  redisRetryMax: ms('SIGNALBOX_REDIS_RETRY_MAX', 5_000, 'Longest wait before Redis is connected to again.'),
  redisPendingBytes: bytes(
    'SIGNALBOX_REDIS_PENDING_BYTES',
    33_554_432,
    'What may be on its way to Redis at a time. Beyond: what needs it fails, and events are not kept.',
  ),
  eventLogEvents: count(
    'SIGNALBOX_PROXY_EVENT_LOG_EVENTS',
    fallback.streamEvents,
    'Events of one stream that are kept for a legacy client that comes back for what it missed. 0: none, and only servers that number their events can be come back to.',
  ),
  eventLogBytes: bytes('SIGNALBOX_PROXY_EVENT_LOG_BYTES', fallback.streamEventBytes, 'The same in bytes.'),
  eventLogAge: bound(
    'SIGNALBOX_PROXY_EVENT_LOG_AGE',
    fallback.streamEventMs,
    'How long they are kept behind the last event of their stream.',
    'ms',
  ),
  sharedMemoryBytes: bytes(
    'SIGNALBOX_PROXY_SHARED_MEMORY_BYTES',
    fallback.memoryBytes,
    'Without Redis: events of all streams together, and facts of all sessions that do not fit into their ids. The oldest give way.',
  ),
  sessionRecordBytes: bytes(
    'SIGNALBOX_PROXY_SESSION_RECORD_BYTES',
    fallback.recordBytes,
    'Facts of one session that do not fit into its id. One with more does not begin, or begins with fewer sessions of members.',
  ),
  nodeLease: bound(
    'SIGNALBOX_PROXY_NODE_LEASE',
    fallback.leaseMs,
    'Time without a sign of life after which other nodes take this node for gone.',
    'ms',
  ),
  nodeAccept: bound(
    'SIGNALBOX_PROXY_NODE_ACCEPT_TIMEOUT',
    fallback.acceptMs,
    'How long another node may take to accept what is handed to it.',
    'ms',
  ),
  maxNodeCalls: bound(
    'SIGNALBOX_PROXY_MAX_NODE_CALLS',
    fallback.calls,
    'What this node does for others, and others for it, at a time.',
  ),
  maxHandedBytes: bytes(
    'SIGNALBOX_PROXY_MAX_HANDED_BYTES',
    fallback.handedBytes,
    'One request that is handed to another node, or the answer to it.',
  ),
  maxSharedEndings: bound(
    'SIGNALBOX_PROXY_MAX_SHARED_ENDINGS',
    fallback.endings,
    'Ended sessions that nodes tell each other of, and that one that starts hears of.',
  ),
  endingsPoll: bound(
    'SIGNALBOX_PROXY_ENDINGS_POLL',
    fallback.endingsPollMs,
    'How often a node looks for ended sessions that it was not told of.',
    'ms',
  ),
} as const;

export type NodesSettings = Settings<typeof nodesSettings>;

export function nodesLimitsOf(settings: NodesSettings): NodesLimits {
  return {
    streamEvents: settings.eventLogEvents,
    streamEventBytes: settings.eventLogBytes,
    streamEventMs: settings.eventLogAge,
    memoryBytes: settings.sharedMemoryBytes,
    recordBytes: settings.sessionRecordBytes,
    leaseMs: settings.nodeLease,
    acceptMs: settings.nodeAccept,
    calls: settings.maxNodeCalls,
    handedBytes: settings.maxHandedBytes,
    endings: settings.maxSharedEndings,
    endingsPollMs: settings.endingsPoll,
  };
}

function redisUrl(named: { readonly name: string; readonly doc: string }): Setting<Secret | undefined> {
  return {
    ...named,
    unit: 'secret',
    fallback: '',
    parse: (value) => {
      if (value === '') return { value: undefined };
      const url = URL.canParse(value) ? new URL(value) : undefined;
      const isUrl = url !== undefined && ['redis:', 'rediss:'].includes(url.protocol) && url.hostname !== '';
      const hasDatabase = isUrl && /^\/?\d*$/.test(url.pathname);
      if (!value.startsWith('/') && !hasDatabase) {
        return { problem: 'expected redis://host:port, rediss://host:port or the path of a socket' };
      }
      return { value: new Secret(value) };
    },
  };
}
