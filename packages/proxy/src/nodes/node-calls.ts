import type { Clock, Logger, Random } from '@signalbox/runtime';
import type { NodesLimits } from './limits.ts';
import { type SharedState, SharedStateError } from './shared-state.ts';

/** Why another node does not do what it was asked for. */
export type NodeFailure =
  /** It is not there any more, or says nothing. */
  | 'gone'
  /** It does too much already, or this node asks for too much. */
  | 'busy'
  /** The shared state cannot be reached. */
  | 'unreachable'
  | 'too-large';

/** One side of a conversation. */
export interface NodeConversation {
  /** Says something to the other side; beyond the bound in bytes the conversation fails. */
  say(text: string): void;
  /** Nothing more is said, and nothing more is heard. */
  end(): void;
}

/** What one side hears. Exactly one of the last two comes, unless this side has ended. */
export interface NodeListener {
  onSaid(text: string): void;
  /** The other side has nothing more to say. */
  onEnd(): void;
  onFailed(failure: NodeFailure): void;
}

/** Takes a conversation that another node begins. */
export type NodeServer = (opening: string, conversation: NodeConversation) => NodeListener;

interface Options {
  readonly state: SharedState;
  readonly limits: NodesLimits;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * Conversations between nodes: one begins, the other accepts, both say things in order until one ends. A node that is
 * gone is found out: at once when it begins with nobody, else by its lease. Bounded in number and in bytes.
 *
 * What it is about is said only to a node that has accepted in time, so that a letter which was kept back somewhere and
 * comes after all has no effect.
 */
export class NodeCalls {
  readonly #options: Options;
  readonly #servers = new Map<string, NodeServer>();
  readonly #told = new Map<string, (text: string) => void>();
  /** By id; of those that others began by their node and id. */
  readonly #open = new Map<string, Conversation>();
  #watch: Disposable | undefined;

  constructor(options: Options) {
    this.#options = options;
    options.state.mail.onLetter((letter) => this.#take(letter));
  }

  /** Name of this node among the others. */
  get self(): string {
    return this.#options.state.self;
  }

  /** From now on this node serves conversations of a kind. */
  serve(kind: string, server: NodeServer): void {
    this.#servers.set(kind, server);
  }

  /** From now on this node hears what is told to all. */
  hear(kind: string, listener: (text: string) => void): void {
    this.#told.set(kind, listener);
  }

  /** Tells all other nodes something; nobody says whether they heard it. */
  tell(kind: string, text: string): void {
    const letter = write({ type: 'tell', kind, text, from: this.self, id: '', seq: 0 });
    this.#options.state.mail.broadcast(letter).catch(() => undefined);
  }

  /** Begins a conversation with another node. */
  begin(node: string, kind: string, opening: string, listener: NodeListener): NodeConversation {
    const { random, clock, limits } = this.#options;
    const id = random.bytes(12).toString('base64url');
    const conversation = this.#converse(id, node, id, listener);
    conversation.held = [];
    if (this.#open.size > limits.calls) queueMicrotask(() => conversation.fail('busy'));
    else if (opening.length > limits.handedBytes) queueMicrotask(() => conversation.fail('too-large'));
    else {
      conversation.patience = clock.timer(limits.acceptMs, () => conversation.fail('gone'));
      conversation.write('open', '', kind);
      conversation.say(opening);
    }
    return conversation;
  }

  #converse(key: string, node: string, id: string, listener: NodeListener): Conversation {
    const conversation = new Conversation(this.#options, { node, id }, listener, () => this.#closed(key));
    this.#open.set(key, conversation);
    this.#watch ??= this.#options.clock.interval(this.#options.limits.leaseMs, () => this.#lookForGone());
    return conversation;
  }

  #closed(key: string): void {
    this.#open.delete(key);
    if (this.#open.size > 0) return;
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
  }

  #take(text: string): void {
    const letter = read(text);
    if (!letter || letter.from === this.self) return;
    if (letter.type === 'tell') return this.#told.get(letter.kind)?.(letter.text);
    const key = `${letter.from}/${letter.id}`;
    if (letter.type === 'open') return this.#accept(key, letter);
    const conversation = this.#open.get(letter.id) ?? this.#open.get(key);
    if (conversation?.node === letter.from) conversation.take(letter);
    else if (letter.type === 'accept' || letter.type === 'say') this.#refuse(letter, 'gone');
  }

  #refuse({ from, id }: Letter, failure: NodeFailure): void {
    const refusal = write({ type: 'fail', kind: '', text: failure, from: this.self, id, seq: anySeq });
    this.#options.state.mail.send(from, refusal).catch(() => undefined);
  }

  #accept(key: string, letter: Letter): void {
    const { limits, logger } = this.#options;
    const server = this.#servers.get(letter.kind);
    if (this.#open.has(key)) return;
    if (!server || this.#open.size >= limits.calls) return this.#refuse(letter, 'busy');
    let listener: NodeListener | undefined;
    const conversation: Conversation = this.#converse(key, letter.from, letter.id, {
      onSaid: (text) => {
        if (listener) return listener.onSaid(text);
        try {
          listener = server(text, conversation);
        } catch (error) {
          logger.error('a conversation with another node failed for no reason of its own', { error: String(error) });
          conversation.end();
        }
      },
      onEnd: () => listener?.onEnd(),
      onFailed: (failure) => listener?.onFailed(failure),
    });
    // The first letter of the other side is this one.
    conversation.heard = 1;
    conversation.write('accept', '');
  }

  #lookForGone(): void {
    const { mail } = this.#options.state;
    for (const node of new Set([...this.#open.values()].map((conversation) => conversation.node))) {
      const isPresent = mail.isPresent(node).catch(() => 'unknown' as const);
      void isPresent.then((present) => {
        if (present !== false) return;
        for (const conversation of this.#open.values()) if (conversation.node === node) conversation.fail('gone');
      });
    }
  }
}

class Conversation implements NodeConversation {
  readonly node: string;
  /** Runs until the other side has accepted. */
  patience: Disposable | undefined;
  /** Number of letters that have come. */
  heard = 0;
  /** What is to be said once the other side has accepted. */
  held: string[] | undefined;
  readonly #id: string;
  readonly #options: Options;
  readonly #listener: NodeListener;
  readonly #onClosed: () => void;
  #said = 0;
  #bytes = 0;
  #over = false;
  /** Letters go one behind the other. */
  #sending: Promise<void> = Promise.resolve();

  constructor(
    options: Options,
    { node, id }: { readonly node: string; readonly id: string },
    listener: NodeListener,
    onClosed: () => void,
  ) {
    this.#options = options;
    this.node = node;
    this.#id = id;
    this.#listener = listener;
    this.#onClosed = onClosed;
  }

  say(text: string): void {
    if (this.#over) return;
    this.#bytes += text.length;
    if (this.#bytes > this.#options.limits.handedBytes) {
      this.write('fail', 'too-large');
      this.fail('too-large');
    } else if (this.held) this.held.push(text);
    else this.write('say', text);
  }

  end(): void {
    if (this.#over) return;
    this.write('end', '');
    this.#close();
  }

  fail(failure: NodeFailure): void {
    if (this.#over) return;
    this.#close();
    this.#listener.onFailed(failure);
  }

  write(type: Letter['type'], text: string, kind = ''): void {
    const { state } = this.#options;
    const letter = write({ type, kind, text, from: state.self, id: this.#id, seq: this.#said });
    this.#said += 1;
    this.#sending = this.#sending
      .then(() => state.mail.send(this.node, letter))
      .then(
        (arrived) => {
          if (!arrived) this.fail('gone');
        },
        (error: unknown) => this.fail(error instanceof SharedStateError ? 'unreachable' : 'gone'),
      );
  }

  take({ type, text, seq }: Letter): void {
    if (this.#over || (seq !== anySeq && seq < this.heard)) return;
    // A letter is missing: what follows would be something else than what was said.
    if (seq > this.heard) return this.fail('gone');
    this.heard += 1;
    switch (type) {
      case 'accept':
        return this.#accepted();
      case 'say':
        return this.#listener.onSaid(text);
      case 'end':
        this.#close();
        return this.#listener.onEnd();
      case 'fail':
        return this.fail(failures.find((failure) => failure === text) ?? 'gone');
      case 'open':
      case 'tell':
        return;
    }
  }

  #accepted(): void {
    this.patience?.[Symbol.dispose]();
    const held = this.held ?? [];
    this.held = undefined;
    for (const text of held) this.write('say', text);
  }

  #close(): void {
    this.#over = true;
    this.patience?.[Symbol.dispose]();
    this.#onClosed();
  }
}

interface Letter {
  readonly type: 'open' | 'accept' | 'say' | 'end' | 'fail' | 'tell';
  readonly kind: string;
  readonly text: string;
  readonly from: string;
  /** Of the conversation, as who began it has named it. */
  readonly id: string;
  /** Number of the letter in its direction. */
  readonly seq: number;
}

/** Number of a letter of which the other side does not know how many went before. */
const anySeq = -1;
const failures: readonly NodeFailure[] = ['gone', 'busy', 'unreachable', 'too-large'];
const types: readonly Letter['type'][] = ['open', 'accept', 'say', 'end', 'fail', 'tell'];

function write({ type, kind, text, from, id, seq }: Letter): string {
  return JSON.stringify([format, type, kind, text, from, id, seq]);
}

/** A change of the letters takes another number: nodes of two versions do not misread each other. */
const format = 1;

function read(text: string): Letter | undefined {
  const [version, type, kind, said, from, id, seq] = JSON.parse(text) as [number, string, ...string[]] & unknown[];
  const known = types.find((each) => each === type);
  if (version !== format || !known) return undefined;
  return { type: known, kind: String(kind), text: String(said), from: String(from), id: String(id), seq: Number(seq) };
}
