import { encodeEntry } from '../encoded-response.ts';
import type {
  Collection,
  CollectionSource,
  ResourceDelta,
  ResourceEntry,
  ResourceFamily,
  StagedCollection,
} from '../family.ts';

/** Type URLs of the test family: two of data, then the seal that closes a round. */
export const leafType = 'type.googleapis.com/test.Leaf';
export const twigType = 'type.googleapis.com/test.Twig';
export const sealType = 'type.googleapis.com/test.Seal';

export const testFamily: ResourceFamily = {
  name: 'test',
  types: [
    { typeUrl: leafType, closesRound: false },
    { typeUrl: twigType, closesRound: false },
    { typeUrl: sealType, closesRound: true },
  ],
};

/** Name of a test resource: a collection's seal is named `current`. */
export function testName(typeUrl: string, collection: string, name: string): string {
  return `xdstp://test/${typeUrl.slice(typeUrl.indexOf('/') + 1)}/${collection}/${name}`;
}

/** What a seal says: the revision, and the version of every resource of the collection by name. */
export interface Seal {
  readonly revision: string;
  readonly versions: Readonly<Record<string, string>>;
}

export function readSeal(body: Uint8Array): Seal {
  return JSON.parse(Buffer.from(body).toString()) as Seal;
}

/** Resources by short name; the text is body and version in one. Null deletes. */
export type TestChange = Readonly<Record<string, string | null>>;

/** Collections that a test writes. Every commit makes a revision, and a seal over the whole collection. */
export class MemorySource implements CollectionSource {
  readonly #collections = new Map<string, MemoryCollection>();
  readonly #staged = new Map<string, { readonly held: Collection | undefined; readonly ahead: ReadonlySet<string> }>();
  readonly #listeners = new Set<(ids: readonly string[]) => void>();
  /** Last revisions of collections that were deleted: a name that comes back goes on from there. */
  readonly #retired = new Map<string, bigint>();
  ready = true;

  get(id: string): Collection | undefined {
    return this.#collections.get(id);
  }

  ids(): Iterable<string> {
    return this.#collections.keys();
  }

  staged(id: string): StagedCollection | undefined {
    const staged = this.#staged.get(id);
    const newest = this.#collections.get(id);
    return staged && { stateFor: ({ node }) => (staged.ahead.has(node.id) ? newest : staged.held) };
  }

  /** From here on only some nodes get what is committed; the others keep what there is now, or was when this began. */
  stage(id: string, ahead: readonly string[]): void {
    const held = this.#staged.has(id) ? this.#staged.get(id)?.held : this.#collections.get(id);
    this.#staged.set(id, { held, ahead: new Set(ahead) });
    this.#notify([id]);
  }

  /** All nodes get the newest again. */
  unstage(id: string): void {
    if (this.#staged.delete(id)) this.#notify([id]);
  }

  onChange(listener: (ids: readonly string[]) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Changes leaves and twigs of a collection, in one revision. Creates the collection. */
  commit(id: string, change: { readonly leaves?: TestChange; readonly twigs?: TestChange }): bigint {
    const before = this.#collections.get(id);
    const next = (before ?? MemoryCollection.empty(id, this.#retired.get(id) ?? 0n)).with(change);
    this.#collections.set(id, next);
    this.#notify([id]);
    return next.revision;
  }

  /** Deletes a collection. */
  drop(id: string): void {
    const last = this.#collections.get(id);
    if (!last) return;
    this.#retired.set(id, last.revision);
    this.#collections.delete(id);
    this.#notify([id]);
  }

  #notify(ids: readonly string[]): void {
    for (const listener of this.#listeners) listener(ids);
  }
}

/** A collection that remembers no changes: streams compare states. */
class MemoryCollection implements Collection {
  readonly id: string;
  readonly revision: bigint;
  readonly #byType: ReadonlyMap<string, ReadonlyMap<string, ResourceEntry>>;

  constructor(id: string, revision: bigint, byType: ReadonlyMap<string, ReadonlyMap<string, ResourceEntry>>) {
    this.id = id;
    this.revision = revision;
    this.#byType = byType;
  }

  static empty(id: string, revision: bigint): MemoryCollection {
    return new MemoryCollection(id, revision, new Map());
  }

  with(change: { readonly leaves?: TestChange; readonly twigs?: TestChange }): MemoryCollection {
    const revision = this.revision + 1n;
    const leaves = this.#changed(leafType, change.leaves ?? {}, revision);
    const twigs = this.#changed(twigType, change.twigs ?? {}, revision);
    const versions = Object.fromEntries(
      [...leaves.values(), ...twigs.values()].map((entry) => [entry.name, entry.version]),
    );
    const seal: Seal = { revision: String(revision), versions };
    const name = testName(sealType, this.id, 'current');
    const entry = encodeEntry(
      { name, version: `seal ${revision}`, typeUrl: sealType, body: Buffer.from(JSON.stringify(seal)) },
      revision,
    );
    const byType = new Map([
      [leafType, leaves],
      [twigType, twigs],
      [sealType, new Map([[name, entry]])],
    ]);
    return new MemoryCollection(this.id, revision, byType);
  }

  get(typeUrl: string, name: string): ResourceEntry | undefined {
    return this.#byType.get(typeUrl)?.get(name);
  }

  all(typeUrl: string): Iterable<ResourceEntry> {
    return this.#byType.get(typeUrl)?.values() ?? [];
  }

  changedSince(): ResourceDelta | undefined {
    return undefined;
  }

  #changed(typeUrl: string, change: TestChange, revision: bigint): ReadonlyMap<string, ResourceEntry> {
    const entries = new Map(this.#byType.get(typeUrl));
    for (const [short, text] of Object.entries(change)) {
      const name = testName(typeUrl, this.id, short);
      if (text === null) entries.delete(name);
      else entries.set(name, encodeEntry({ name, version: text, typeUrl, body: Buffer.from(text) }, revision));
    }
    return entries;
  }
}
