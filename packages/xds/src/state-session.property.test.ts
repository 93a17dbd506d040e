import { create, fromBinary } from '@bufbuild/protobuf';
import {
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '@signalbox/proto/envoy/service/discovery/v3/discovery_pb.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChangeSet, type CollectionChange } from './change-set.ts';
import { ResponseEncoder } from './encoded-response.ts';
import type { Collection, ResourceFamily } from './family.ts';
import { stateFormat } from './response-format.ts';
import { sendOrderOf } from './send-order.ts';
import { isAtRest, newServerSession, type ServerSession, type SessionEvent, stepServer } from './server-session.ts';
import { dialects } from './session-dialect.ts';
import { StreamPosition } from './stream-position.ts';
import { leafType, MemorySource, testName, twigType } from './testing/memory-source.ts';

/** Leaves have full state and go late; twigs are partial. */
const family: ResourceFamily = {
  name: 'test',
  types: [
    { typeUrl: leafType, closesRound: false, deletesByAbsence: true, removesLate: true, followedBy: twigType },
    { typeUrl: twigType, closesRound: false },
  ],
};

interface Pending {
  readonly nonce: string;
  readonly texts: readonly string[];
}

/** A session and a client that keeps what it is sent. Texts of resources are `<name>=<number>`. */
class StateWorld {
  readonly source = new MemorySource();
  readonly overruns: string[] = [];
  /** What the client has, by type: text by name. */
  readonly has = new Map<string, Map<string, string>>();
  readonly names = new Map<string, readonly string[]>();
  #session: ServerSession = newServerSession;
  readonly #newest = new Map<string, Collection>();
  readonly #position = new StreamPosition(this.#newest, 'all');
  readonly #encoder = new ResponseEncoder(64 * 1024, stateFormat);
  readonly #pending = new Map<string, Pending>();
  readonly #lastNonce = new Map<string, string>();

  constructor() {
    this.source.onChange((ids) => {
      const changes = new Map<string, CollectionChange>();
      for (const id of ids) {
        const to = this.source.get(id);
        changes.set(id, { from: this.#newest.get(id), to });
        if (to) this.#newest.set(id, to);
      }
      this.#position.fallBehind(new ChangeSet(changes));
      this.#catchUp();
    });
  }

  /** Lists all names of a type; while a response is unanswered this is stale, and the answer says it. */
  subscribe(typeUrl: string, names: readonly string[]): void {
    this.names.set(typeUrl, names);
    if (!this.#pending.has(typeUrl)) this.#request(typeUrl);
  }

  acknowledge(typeUrl: string): boolean {
    const pending = this.#pending.get(typeUrl);
    if (!pending) return false;
    this.#pending.delete(typeUrl);
    this.#lastNonce.set(typeUrl, pending.nonce);
    const texts = new Map(pending.texts.map((text) => [text.split('=')[0] ?? '', text]));
    const before = typeUrl === leafType ? new Map<string, string>() : this.has.get(typeUrl);
    this.has.set(typeUrl, new Map([...(before ?? []), ...texts]));
    this.#request(typeUrl);
    return true;
  }

  settle(): void {
    while ([leafType, twigType].some((typeUrl) => this.acknowledge(typeUrl)));
  }

  #request(typeUrl: string): void {
    const resourceNames = [...(this.names.get(typeUrl) ?? [])];
    // What it no longer asks for it forgets.
    const kept = [...(this.has.get(typeUrl) ?? [])].filter(([path]) => {
      const [collection = '', short = ''] = path.split('/');
      return resourceNames.includes(testName(typeUrl, collection, short));
    });
    this.has.set(typeUrl, new Map(kept));
    const responseNonce = this.#lastNonce.get(typeUrl) ?? '';
    const request = create(DiscoveryRequestSchema, { node: { id: 'node' }, typeUrl, resourceNames, responseNonce });
    this.#step({ kind: 'request', request });
    this.#catchUp();
  }

  #catchUp(): void {
    if (!isAtRest(this.#session) || !this.#position.isBehind) return;
    this.#step({ kind: 'advance', changes: this.#position.advance() });
  }

  #step(event: SessionEvent): void {
    const { session, effects } = stepServer(this.#session, event, {
      ...{ dialect: dialects.state, order: sendOrderOf(family), collections: this.#position, encoder: this.#encoder },
      limits: { maxTypesPerStream: 4, maxNamesPerStream: 20 },
    });
    this.#session = session;
    for (const effect of effects) {
      if (effect.kind !== 'send') continue;
      const { typeUrl, nonce, resources } = fromBinary(DiscoveryResponseSchema, effect.response.bytes);
      if (this.#pending.has(typeUrl)) this.overruns.push(nonce);
      this.#pending.set(typeUrl, { nonce, texts: resources.map(({ value }) => Buffer.from(value).toString()) });
    }
  }
}

const shorts = ['a', 'b', 'c'];
const collections = ['acme', 'globex'];
const pairs = collections.flatMap((collection) => shorts.map((short) => ({ collection, short })));
const typeUrl = fc.constantFrom(leafType, twigType);
const action = fc.oneof(
  fc.record({ do: fc.constant('ack' as const), typeUrl }),
  fc.record({ do: fc.constant('subscribe' as const), typeUrl, pairs: fc.subarray(pairs, { minLength: 1 }) }),
  fc.record({
    do: fc.constant('commit' as const),
    collection: fc.constantFrom(...collections),
    short: fc.constantFrom(...shorts),
    text: fc.option(fc.nat(3)),
  }),
);

describe('any sequence of requests and changes of the state of the world', () => {
  it('leaves a client with what it subscribed to, and never with two unanswered responses', () => {
    fc.assert(
      fc.property(fc.array(action, { minLength: 1, maxLength: 30 }), (actions) => {
        const world = new StateWorld();
        for (const step of actions) {
          if (step.do === 'ack') world.acknowledge(step.typeUrl);
          else if (step.do === 'subscribe') {
            const names = step.pairs.map(({ collection, short }) => testName(step.typeUrl, collection, short));
            world.subscribe(step.typeUrl, names);
          } else {
            const { collection, short, text } = step;
            const value = text === null ? null : `${collection}/${short}=${text}`;
            world.source.commit(collection, { leaves: { [short]: value }, twigs: { [short]: value } });
          }
        }
        world.settle();
        expect(world.overruns).toEqual([]);
        for (const [type, names] of world.names) expectCurrent(world, type, names);
      }),
      { numRuns: 300 },
    );
  });
});

function expectCurrent(world: StateWorld, type: string, names: readonly string[]): void {
  const present = pairs.flatMap(({ collection, short }) => {
    const name = testName(type, collection, short);
    const entry = names.includes(name) ? world.source.get(collection)?.get(type, name) : undefined;
    return entry ? [entry.version] : [];
  });
  const has = [...(world.has.get(type)?.values() ?? [])];
  // Nothing is deleted of a partial type: the client may have more, but nothing old of what exists.
  const counted = type === leafType ? has : has.filter((text) => present.includes(text));
  expect(counted.toSorted()).toEqual(present.toSorted());
}
