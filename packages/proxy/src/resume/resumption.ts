import type { McpSubject } from '@signalbox/config';
import type { Clock, Random } from '@signalbox/runtime';
import type { Call } from '../mcp/call.ts';
import type { NodesLimits } from '../nodes/limits.ts';
import type { NodeCalls } from '../nodes/node-calls.ts';
import type { SharedState, StreamKey } from '../nodes/shared-state.ts';
import type { SessionKeys } from '../session/session-keys.ts';
import { type ResumePoint, StreamIds } from './stream-ids.ts';
import { type BegunLog, type StreamAbout, StreamLog } from './stream-log.ts';
import type { SessionFacts } from '../session/sealed-session.ts';

/** A stream that runs on this node, whose client may come back elsewhere. */
export interface LiveStream {
  /** Its client has come back, to this node or another one: it gets nothing here any more. */
  takenOver(): void;
}

/** What has become of a stream at the node where it ran. */
export type Running = 'runs' | 'ended' | 'gone' | 'unknown';

interface Options {
  readonly state: SharedState;
  readonly nodeCalls: NodeCalls;
  readonly sessionKeys: SessionKeys;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: NodesLimits;
}

/** Streams of legacy clients that can be gone on with at any node. */
export class Resumption {
  readonly #options: Options;
  readonly #ids: StreamIds;
  /** By tenant, session and stream. */
  readonly #live = new Map<string, LiveStream>();

  constructor(options: Options) {
    this.#options = options;
    this.#ids = new StreamIds(options.sessionKeys, options.random);
    options.nodeCalls.serve(kind, (name, conversation) => {
      conversation.say(this.#takeOverHere(name));
      conversation.end();
      return { onSaid: nothing, onEnd: nothing, onFailed: nothing };
    });
  }

  /** Begins to keep the stream that members of a virtual server share; undefined where nothing is kept. */
  sharedLogOf(call: Call, stream: LiveStream): (() => BegunLog) | undefined {
    const { session } = call;
    if (call.era !== 'legacy' || !session || this.#options.limits.streamEvents === 0) return undefined;
    return this.#beginning(session.facts, stream, { kind: 'get', clientId: 'null', subject: undefined });
  }

  /** Where a client wants to go on, by an id of ours of this session. */
  read(session: string, id: string): ResumePoint | 'foreign' | undefined {
    return this.#ids.read(session, id);
  }

  /** A log for a stream to a client; undefined where no client can come back. */
  logOf(call: Call, stream: LiveStream, about: Omit<StreamAbout, 'node'>): StreamLog | undefined {
    const { session, era, version } = call;
    if (era !== 'legacy' || !session || this.#options.limits.streamEvents === 0) return undefined;
    const begin = this.#beginning(session.facts, stream, about);
    // Most GET streams are open for long and never say anything.
    return new StreamLog(begin, about.kind === 'call' && version >= primingVersion, {
      clock: this.#options.clock,
      keepMs: this.#options.limits.streamEventMs,
    });
  }

  /** Where a GET wants to go on, by an id of ours; undefined when it does not, or by the id of a server. */
  pointOf(call: Call): ResumePoint | 'foreign' | undefined {
    const id = call.exchange.head.header('last-event-id');
    return id === undefined || !call.session ? undefined : this.#ids.read(call.session.facts.name, id);
  }

  /**
   * Makes sure that nothing of a stream goes to its former client any more. A GET stream ends by that; the answer of a call
   * is kept on being written.
   */
  takeOver(node: string, key: StreamKey): Promise<Running> {
    const { nodeCalls } = this.#options;
    if (node === nodeCalls.self) return Promise.resolve(this.#takeOverHere(nameOf(key)));
    return new Promise((resolve) => {
      nodeCalls.begin(node, kind, nameOf(key), {
        onSaid: (text) => resolve(text === 'runs' ? 'runs' : 'ended'),
        onEnd: () => resolve('unknown'),
        onFailed: (failure) => resolve(failure === 'gone' ? 'gone' : 'unknown'),
      });
    });
  }

  #beginning(
    { tenant, name }: Pick<SessionFacts, 'tenant' | 'name'>,
    stream: LiveStream,
    about: Omit<StreamAbout, 'node'>,
  ): () => BegunLog {
    const { state, nodeCalls } = this.#options;
    return () => {
      const { stream: id, prefix } = this.#ids.mint(name);
      const key = { tenant, session: name, stream: id };
      const said: StreamAbout = { ...about, node: nodeCalls.self };
      const writer = state.events.begin(key, JSON.stringify(said));
      this.#live.set(nameOf(key), stream);
      return { prefix, writer, end: () => void this.#live.delete(nameOf(key)) };
    };
  }

  #takeOverHere(name: string): Running {
    const stream = this.#live.get(name);
    stream?.takenOver();
    return stream ? 'runs' : 'ended';
  }
}

const kind = 'take-over';
/** From this revision on a stream begins with an id. */
const primingVersion = '2025-11-25';
const nothing = () => undefined;

function nameOf({ tenant, session, stream }: StreamKey): string {
  return JSON.stringify([tenant, session, stream]);
}

/** @throws Error for a text that no node has written. */
export function readAbout(text: string): StreamAbout {
  return JSON.parse(text) as StreamAbout & { readonly subject: McpSubject | undefined };
}
