/** A test that shows a behaviour beside the code that has it. */
interface Shown {
  /** From the root of the repository. */
  readonly file: string;
  /** Titles of its tests, or the beginning of them. */
  readonly titles: readonly string[];
}

const phases = (name: string, ...titles: string[]): Shown => ({
  file: `packages/proxy/src/phases/${name}.test.ts`,
  titles,
});
const proxy = (name: string, ...titles: string[]): Shown => ({ file: `packages/proxy/src/${name}.test.ts`, titles });
const story = (name: string, ...titles: string[]): Shown => ({ file: `test/e2e/src/${name}.test.ts`, titles });

/** Behaviours of MCP gateways, by number, that unit tests or stories with real engines show. */
export const elsewhere: Readonly<Record<number, readonly Shown[]>> = {
  1: [phases('sessions', 'is required after initialize: 400 without an id', 'does not exist under a made-up id: 404')],
  2: [phases('sessions', 'ends with DELETE, here and upstream; after that it does not exist')],
  3: [
    phases(
      'sessions',
      'does not exist after the idle time, and stays so; its client begins another',
      'is ended at its server, a while after, without anybody asking for it',
    ),
  ],
  4: [
    phases('sessions', 'does not exist for another principal, who learns no more than for one that never was'),
    story('sessions', 'belongs to its principal: to another one it does not exist'),
  ],
  5: [
    proxy('listener-hosts', 'may be the loopback name %s where nothing is listed'),
    proxy('http/bad-input', 'a host that is refused reaches nobody'),
  ],
  6: [
    phases(
      'batches',
      'is answered together, policy for each message, in a session of 2025-03-26',
      'is refused in a session of %s',
    ),
  ],
  7: [phases('sessions', 'speaks its own version: another one is refused with 400, none stands for it')],
  8: [proxy('bridge/revisions/revisions', 'each speak their own, %s and %s, in a session of both')],
  9: [phases('bad-input', 'decide whether a POST is served: %j is %i', 'GET must accept an event stream: 406')],
  10: [phases('streams', 'is one of several of its session, and what the gateway says goes on exactly one')],
  14: [phases('streams', 'cannot be resumed where the upstream says %i, having no such events any more: %i')],
  15: [
    phases(
      'bad-input',
      'that %s is refused with -32602, which names what is missing',
      'with a malformed envelope is never taken for a legacy one: %s',
      'needs no client info',
    ),
  ],
  16: [
    phases(
      'bad-input',
      'whose headers and body disagree is refused with -32020: %s',
      'whose name is the same once decoded is served',
    ),
  ],
  17: [phases('policy', 'is decided for the tool in the body, and recorded under it')],
  18: [
    phases(
      'bad-input',
      'of an unknown version is refused with -32022 and the versions that are',
      'of a method that the era does not have is 404 with -32601: %s',
      'GET and DELETE without a session are refused: 400; with a modern version: 405',
    ),
    story('tools-call-modern', 'neither needs nor gives a session'),
  ],
  19: [
    proxy(
      'bridge/era-bridge',
      'sends as headers what tools want there, as lists have said, and leaves out tools that want it wrongly',
      'looks at the tools anew, and calls once more, when its server misses such a header',
    ),
    proxy('mcp/param-headers', 'are those that the input schema names, null and absent ones aside: %j'),
  ],
  20: [proxy('handles/request-states', 'comes back to it byte for byte, through any node, in every round')],
  21: [
    proxy('handles/request-states', 'is refused with -32602 when it is %s, and the server hears nothing of it'),
    proxy('bridge/era-bridge', 'cannot use a state %s, and the server hears nothing of it'),
  ],
  22: [proxy('bridge/era-bridge', 'hears which capability it lacks when the server asks for what it has not declared')],
  23: [phases('modern-requests', 'what is about the hop between gateway and upstream stays there')],
  24: [
    phases('modern-requests', 'is cancelled upstream at once when its client leaves'),
    proxy('bridge/era-bridge', 'cancels by leaving; a call that nobody comes back for is cancelled after a while'),
  ],
  25: [
    proxy('handles/request-states', 'reach the client %s, others do not'),
    proxy(
      'bridge/era-bridge',
      'gets progress under its own token, and log messages only from the level on that it asked for',
    ),
  ],
  26: [
    proxy(
      'bridge/era-bridge',
      'answers what the server asks, on the stream of its call',
      'is asked a bounded number of times, and has a bounded time for each',
    ),
  ],
  27: [
    proxy(
      'bridge/era-bridge',
      'is asked for input, and goes on with the same call when it comes back',
      'cancels by leaving; a call that nobody comes back for is cancelled after a while',
    ),
  ],
  28: [proxy('bridge/era-bridge', 'is sent to the URLs that a server wants visited first, and calls again afterwards')],
  29: [proxy('bridge/era-bridge', 'hears of changes on its GET stream, of resources as it subscribes to them')],
  30: [proxy('bridge/era-bridge', 'listens by a session of its own, which ends with it')],
  31: [
    proxy(
      'bridge/legacy-client/translation',
      'loses what only the modern era has, and keeps everything else',
      'words a missing resource, and what is said about the gateway’s hop, in the client’s era',
    ),
    phases('modern-requests', 'legacy: the server is spoken to in its era, and looks modern to the client'),
  ],
  32: [
    phases(
      'modern-requests',
      'is looked into again after the horizon, while the old verdict serves',
      'is not changed by failures after the horizon',
      'is not known from a timeout',
    ),
  ],
  34: [phases('legacy-requests', 'gets its own answer when another with the same id is in flight')],
  35: [proxy('bridge/http-sse/http-sse', 'is asked by a hundred callers with one progress token')],
  36: [
    phases('legacy-requests', 'gets its answer under its own id, type and all: %j'),
    proxy('json/scan', 'finds the same method, name, uri, id and arguments'),
  ],
  38: [
    phases(
      'sessions',
      'gets one answer when a cancellation and its result cross, and the request is in flight no more',
    ),
  ],
  39: [phases('streams', 'has one answer, the first under its id; others of the upstream are nobody’s')],
  48: [
    phases('policy', 'of a tool that policy hides is answered as for a tool that does not exist'),
    phases('policy', 'is private to its caller on the modern era, whatever the upstream says'),
  ],
  51: [
    proxy(
      'handles/tasks',
      'goes by a sealed id that is always the same, and leads to the server through any node',
      'is unknown to %s',
    ),
  ],
  53: [
    story(
      'hot-swap-keeps-streams',
      'no stream loses or repeats a message while others and its own surroundings change',
    ),
  ],
  56: [
    phases('legacy-requests', 'passes a large answer through in pieces with its exact length'),
    phases('bad-input', 'is refused with 413, at one byte too many'),
    story('stalled-readers', 'get their own answers of %i bytes'),
  ],
  57: [
    phases('streams', 'slows the upstream down, and cuts off a client that never takes anything'),
    proxy(
      'http/slow-client',
      'that does not read a stream is cut off after the write timeout, and the stream hears of it',
    ),
  ],
  58: [
    proxy('http/slow-client', 'that does not finish its head is answered 408 and cut off'),
    phases('streams', 'gets a comment when it has been quiet for long, and only then'),
    proxy('upstream/http1-client', 'runs out in total, however steadily pieces come, but never for a stream'),
  ],
  59: [
    proxy(
      'http/sse',
      'has the same events cut at every byte',
      'may end its lines in %j',
      'holds for a line that never ends',
    ),
    proxy('upstream/http1-client', 'does not follow a redirect'),
  ],
  60: [
    phases(
      'authentication',
      'is refused with 401 for %s',
      'is named in the challenge and served to everyone',
      'ends the streams that it opened a minute after it has expired',
      'serves for a day when it cannot be fetched again',
    ),
    phases(
      'legacy-requests',
      'reaches the upstream in its own session, under an id of the gateway, without the credential',
    ),
  ],
  61: [
    phases('authentication', 'is not verified with keys that it names itself: nothing is fetched for it'),
    proxy('upstream/http1-client', 'does not follow a redirect'),
    proxy('bridge/http-sse/http-sse', 'with an endpoint at another origin is none, and is sent nothing: %s'),
  ],
  62: [
    story(
      'drain-on-sigterm',
      'ends a GET stream with a time to come back',
      'ends subscriptions/listen with its result',
      'ends within its deadline whoever does not leave, and records what it cut off',
    ),
  ],
  63: [
    phases('legacy-requests', 'passes on trace headers and nothing else of the client'),
    story('outcome-events', 'holds no argument, no result and no credential'),
  ],
};
