import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseStructuredName } from './resource-name.ts';
import { leafType, type TestChange, testName } from './testing/memory-source.ts';
import { type SeenResponse, SessionDriver } from './testing/session-driver.ts';

const names = [
  '*',
  ...['acme', 'globex'].flatMap((collection) => ['a', 'b', '*'].map((name) => testName(leafType, collection, name))),
];

type Action =
  | {
      readonly kind: 'request';
      readonly add: string[];
      readonly drop: string[];
      readonly answer: 'ack' | 'nack' | 'no';
    }
  | { readonly kind: 'commit'; readonly id: string; readonly leaves: TestChange }
  | { readonly kind: 'remove'; readonly id: string }
  | { readonly kind: 'reconnect' };

const collection = fc.constantFrom('acme', 'globex');
const change = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('1', '2', null));
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({
    kind: fc.constant('request' as const),
    add: fc.subarray(names, { maxLength: 2 }),
    drop: fc.subarray(names, { maxLength: 2 }),
    answer: fc.constantFrom('ack' as const, 'nack' as const, 'no' as const),
  }),
  fc.record({ kind: fc.constant('commit' as const), id: collection, leaves: change }),
  fc.record({ kind: fc.constant('remove' as const), id: collection }),
  fc.record({ kind: fc.constant('reconnect' as const) }),
);

/** A client by the letter: what it subscribed to, and what it holds of that. */
class Client {
  readonly held = new Map<string, string>();
  readonly #driver: SessionDriver;
  readonly #subscribed = new Set<string>();
  #asked = false;
  /** Responses not answered yet. */
  open: SeenResponse[] = [];

  constructor(driver: SessionDriver) {
    this.#driver = driver;
  }

  request(add: readonly string[], drop: readonly string[], answer: 'ack' | 'nack' | 'no'): void {
    if (!this.#asked && add.length === 0 && drop.length === 0) this.#subscribed.add('*');
    this.#asked = true;
    for (const name of add) this.#subscribed.add(name);
    for (const name of drop) this.#subscribed.delete(name);
    for (const name of this.held.keys()) if (!this.covers(name)) this.held.delete(name);
    const answered = answer === 'no' ? undefined : this.open.shift();
    this.take(
      this.#driver.request({
        typeUrl: leafType,
        resourceNamesSubscribe: [...add],
        resourceNamesUnsubscribe: [...drop],
        responseNonce: answered?.nonce ?? 'stale',
        ...(answer === 'nack' ? { errorDetail: { code: 3, message: 'no' } } : {}),
      }),
    );
  }

  /** Begins another stream with what it subscribed to and what it holds. */
  reconnect(): void {
    if (!this.#asked) return;
    this.#driver.reconnect();
    this.open = [];
    const names = [...this.#subscribed];
    this.take(
      this.#driver.request({
        typeUrl: leafType,
        resourceNamesSubscribe: names.length > 0 ? names : ['*'],
        resourceNamesUnsubscribe: names.length > 0 ? [] : ['*'],
        initialResourceVersions: Object.fromEntries(this.held),
      }),
    );
  }

  covers(name: string): boolean {
    const glob = testName(leafType, parseStructuredName(name)?.collection ?? '', '*');
    return this.#subscribed.has('*') || this.#subscribed.has(glob) || this.#subscribed.has(name);
  }

  /** Applies what came: a client applies it even if it refuses it later. */
  take(responses: readonly SeenResponse[]): void {
    this.open.push(...responses);
    for (const { updated, removed } of responses) {
      for (const entry of updated) {
        const [name = '', version = ''] = entry.split('=');
        if (this.covers(name)) this.held.set(name, version);
      }
      for (const name of removed) this.held.delete(name);
    }
  }
}

describe('any sequence of requests and changes', () => {
  it('leaves a client with what it subscribed to, and never with two unanswered responses', () => {
    fc.assert(
      fc.property(fc.array(action, { minLength: 1, maxLength: 40 }), (actions) => {
        const driver = new SessionDriver('all', 700);
        const client = new Client(driver);
        for (const step of actions) {
          if (step.kind === 'request') client.request(step.add, step.drop, step.answer);
          else if (step.kind === 'commit') driver.source.commit(step.id, step);
          else if (step.kind === 'remove') driver.source.drop(step.id);
          else client.reconnect();
          client.take(driver.take());
          expect(client.open.length).toBeLessThanOrEqual(1);
        }
        while (client.open.length > 0) client.request([], [], 'ack');
        const all = [...driver.source.ids()].flatMap((id) => [...(driver.source.get(id)?.all(leafType) ?? [])]);
        const expected = all.filter(({ name }) => client.covers(name)).map(({ name, version }) => [name, version]);
        expect(Object.fromEntries(client.held)).toEqual(Object.fromEntries(expected));
      }),
      { numRuns: 300 },
    );
  });
});
