import { deepStrictEqual } from 'node:assert';

import { create, fromBinary } from '@bufbuild/protobuf';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import { ChangeSet, type CollectionChange } from '../change-set.ts';
import { ResponseEncoder } from '../encoded-response.ts';
import type { Collection, ResourceFamily } from '../family.ts';
import { sendOrderOf } from '../send-order.ts';
import {
  isAtRest,
  newServerSession,
  type ServerSession,
  type SessionEffect,
  type SessionEvent,
  wholeStep,
} from '../server-session.ts';
import { dialects } from '../session-dialect.ts';
import type { StreamEnd } from '../stream-end.ts';
import { StreamPosition } from '../stream-position.ts';
import { usualStep } from '../usual-steps.ts';
import { MemorySource, testFamily } from './memory-source.ts';

/** A response as a test wants to see it. */
export interface SeenResponse {
  readonly type: string;
  /** `name=version`, in the order of the response. */
  readonly updated: readonly string[];
  readonly removed: readonly string[];
  readonly nonce: string;
  readonly bytes: number;
}

/** What a test says of a request. */
interface Request {
  readonly typeUrl?: string;
  readonly node?: { readonly id: string };
  readonly resourceNamesSubscribe?: string[];
  readonly resourceNamesUnsubscribe?: string[];
  readonly initialResourceVersions?: Record<string, string>;
  readonly responseNonce?: string;
  readonly errorDetail?: { readonly code: number; readonly message: string };
}

/** A server session with a source, driven by hand: no stream, no time. */
export class SessionDriver {
  /** Another one before the first request changes the order of types. */
  family: ResourceFamily = testFamily;
  readonly source = new MemorySource();
  readonly effects: SessionEffect[] = [];
  /** Steps that were of the usual sort. */
  usualSteps = 0;
  session: ServerSession = newServerSession;
  readonly #newest = new Map<string, Collection>();
  readonly #visible: 'all' | ReadonlySet<string>;
  readonly #encoder: ResponseEncoder;
  #position: StreamPosition;
  #unseen: SeenResponse[] = [];
  /** Why the server ended the stream. */
  #end: StreamEnd | undefined;

  constructor(visible: 'all' | ReadonlySet<string> = 'all', maxResponseBytes = 64 * 1024) {
    this.#visible = visible;
    this.#position = new StreamPosition(this.#newest, visible);
    this.#encoder = new ResponseEncoder(maxResponseBytes);
    this.source.onChange((ids) => this.#onChange(ids));
  }

  /** Another stream in place of this one, of a client that has still to say what it holds. */
  reconnect(): void {
    this.session = newServerSession;
    this.#position = new StreamPosition(this.#newest, this.#visible);
    this.#unseen = [];
    this.#end = undefined;
  }

  /** Sends a request; the first names the node. @returns the responses that it brings about. */
  request(request: Request): readonly SeenResponse[] {
    const node = this.session.nodeId === undefined ? { node: { id: 'node-1' } } : {};
    return this.raw({ ...node, ...request });
  }

  /** Sends a request as it is. */
  raw(request: Request): readonly SeenResponse[] {
    this.#step({ kind: 'request', request: create(DeltaDiscoveryRequestSchema, request) });
    this.#catchUp();
    return this.take();
  }

  ack(response: SeenResponse | undefined, more: Request = {}): readonly SeenResponse[] {
    return this.request({ typeUrl: response?.type ?? '', responseNonce: response?.nonce ?? '', ...more });
  }

  nack(response: SeenResponse | undefined, message: string, code = 3): readonly SeenResponse[] {
    return this.ack(response, { errorDetail: { code, message } });
  }

  /** Acknowledges everything that is unanswered until nothing more comes. @returns all responses. */
  settle(responses: readonly SeenResponse[] = this.take()): readonly SeenResponse[] {
    const all: SeenResponse[] = [];
    const open = [...responses];
    for (let response = open.shift(); response; response = open.shift()) {
      all.push(response);
      open.push(...this.ack(response));
    }
    return all;
  }

  /** Responses sent since the last look. */
  take(): readonly SeenResponse[] {
    const unseen = this.#unseen;
    this.#unseen = [];
    return unseen;
  }

  /** What has waited for answers to the rest of the round has waited long enough. */
  overdue(): readonly SeenResponse[] {
    this.#step({ kind: 'overdue' });
    return this.take();
  }

  effectsOf<K extends SessionEffect['kind']>(kind: K): readonly Extract<SessionEffect, { kind: K }>[] {
    return this.effects.filter((effect): effect is Extract<SessionEffect, { kind: K }> => effect.kind === kind);
  }

  #onChange(ids: readonly string[]): void {
    const changes = new Map<string, CollectionChange>();
    for (const id of ids) {
      const to = this.source.get(id);
      changes.set(id, { from: this.#newest.get(id), to });
      if (to) this.#newest.set(id, to);
      else this.#newest.delete(id);
    }
    this.#position.fallBehind(new ChangeSet(changes));
    this.#catchUp();
  }

  #catchUp(): void {
    if (!isAtRest(this.session) || !this.#position.isBehind) return;
    this.#step({ kind: 'advance', changes: this.#position.advance() });
  }

  #step(event: SessionEvent): void {
    if (this.#end) throw new Error(`the server has ended the stream: ${this.#end.message}`);
    const context = {
      dialect: dialects.delta,
      order: sendOrderOf(this.family),
      collections: this.#position,
      encoder: this.#encoder,
      limits: { maxTypesPerStream: 4, maxNamesPerStream: 6 },
    };
    const step = wholeStep(this.session, event, context);
    const usual = usualStep(this.session, event, context);
    // Whatever is tested by way of this driver: the short way leads to the same place.
    if (usual) deepStrictEqual(usual, step);
    const { session, effects } = step;
    if (usual) this.usualSteps += 1;
    this.session = session;
    this.effects.push(...effects);
    for (const effect of effects) {
      if (effect.kind === 'send') this.#unseen.push(seen(effect.response.bytes));
      if (effect.kind === 'close') this.#end = effect.end;
    }
  }
}

function seen(bytes: Buffer): SeenResponse {
  const { typeUrl, resources, removedResources, nonce } = fromBinary(DeltaDiscoveryResponseSchema, bytes);
  return {
    type: typeUrl,
    updated: resources.map(({ name, version }) => `${name}=${version}`),
    removed: removedResources,
    nonce,
    bytes: bytes.length,
  };
}
