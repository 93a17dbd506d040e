import type { ScannedMessage } from '../../json/message.ts';
import { requestDigest } from '../../mcp/request-digest.ts';
import { Seal } from '../../session/seal.ts';
import type { BridgeContext } from '../bridge-context.ts';
import type { ModernCall } from './call.ts';

/** What a `requestState` of the bridge says. */
interface ParkedState {
  /** Where the call waits. */
  readonly node: string;
  /** Name of the call; empty when there is nothing to go on with and the call is simply made again. */
  readonly name: string;
  readonly caller: string;
  /** Digest of the request that the state belongs to. */
  readonly digest: string;
  readonly expiresAtMs: number;
}

/** What became of a state that a client brought back. */
export type Claimed =
  | { readonly kind: 'call'; readonly call: ModernCall }
  | { readonly kind: 'again' }
  /** It waits at another node. */
  | { readonly kind: 'elsewhere'; readonly node: string }
  | { readonly kind: 'refused'; readonly reason: string };

/**
 * Calls at legacy servers that wait for their client's input, by the name in their sealed state. The state is bound to
 * its caller and request and expires; it is good for nothing else.
 */
export class ParkedCalls {
  readonly #context: BridgeContext;
  readonly #seal: Seal;
  readonly #parked = new Map<string, ModernCall>();

  constructor(context: BridgeContext) {
    this.#context = context;
    this.#seal = new Seal(context.sessionKeys, context.random, 'request-state');
  }

  /** Keeps a call. @returns its state as a client gets it; undefined when too many wait. */
  park(call: ModernCall, caller: string, message: ScannedMessage): string | undefined {
    if (this.#parked.size >= this.#context.limits.bridge.parked) return undefined;
    const name = this.#context.random.bytes(12).toString('base64url');
    this.#parked.set(name, call);
    return this.#sealed(name, caller, message);
  }

  /** The state of a call that is made again from the start. */
  again(caller: string, message: ScannedMessage): string {
    return this.#sealed('', caller, message);
  }

  /** @param state raw JSON, as the client brought it. */
  claim(state: string, caller: string, message: ScannedMessage): Claimed {
    const opened = this.#open(state);
    if (!opened || opened.caller !== caller || opened.digest !== requestDigest(message)) {
      return { kind: 'refused', reason: 'requestState is not one that this request was answered with' };
    }
    if (opened.expiresAtMs <= this.#context.clock.now()) {
      return { kind: 'refused', reason: 'requestState has expired: make the request again without it' };
    }
    if (opened.name === '') return { kind: 'again' };
    if (opened.node !== this.#context.nodeCalls.self) return { kind: 'elsewhere', node: opened.node };
    const call = this.#parked.get(opened.name);
    if (!call)
      return { kind: 'refused', reason: 'the call no longer waits here: make the request again without requestState' };
    return { kind: 'call', call };
  }

  forget(call: ModernCall): void {
    for (const [name, parked] of this.#parked) if (parked === call) this.#parked.delete(name);
  }

  #sealed(name: string, caller: string, message: ScannedMessage): string {
    const expires = this.#context.clock.now() + this.#context.limits.bridge.parkedMs;
    const { self } = this.#context.nodeCalls;
    return this.#seal.seal(JSON.stringify([self, name, caller, requestDigest(message), expires]));
  }

  #open(state: string): ParkedState | undefined {
    const text = JSON.parse(state) as unknown;
    const plain = typeof text === 'string' ? this.#seal.open(text) : undefined;
    if (plain === undefined) return undefined;
    const [node, name, caller, digest, expiresAtMs] = JSON.parse(plain) as [string, string, string, string, number];
    return { node, name, caller, digest, expiresAtMs };
  }
}
