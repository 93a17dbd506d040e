import type { ClientHandler, ResourceFault, ResourceUpdate } from '../client-handler.ts';
import { parseStructuredName } from '../resource-name.ts';
import { readSeal, sealType } from './memory-source.ts';

/**
 * A node of the test family: stages data, and activates a collection when what it holds is what the seal says. It keeps
 * a note of everything, and of every seal that did not match.
 */
export class RecordingNode implements ClientHandler {
  readonly responses: ResourceUpdate[] = [];
  readonly connections: string[] = [];
  /** Seals that came before what they close. Must stay empty. */
  readonly torn: string[] = [];
  /** Active revisions by collection. */
  readonly active = new Map<string, bigint>();
  /** Asked of each response: faults with which to refuse it. Data is staged all the same. */
  refuse: (update: ResourceUpdate) => readonly ResourceFault[] = () => [];
  /** Awaited before each answer. */
  beforeAnswer: () => Promise<void> = () => Promise.resolve();
  readonly #held = new Map<string, Map<string, string>>();
  #waiting: { readonly condition: () => boolean; readonly resolve: () => void }[] = [];

  /** Versions by name. */
  held(typeUrl: string): ReadonlyMap<string, string> {
    return this.#held.get(typeUrl) ?? new Map();
  }

  heldVersions(typeUrl: string): ReadonlyMap<string, string> {
    return this.held(typeUrl);
  }

  onConnection(state: 'connecting' | 'connected' | 'disconnected', detail: string): void {
    this.connections.push(`${state}: ${detail}`);
    this.#changed();
  }

  async onResponse(update: ResourceUpdate): Promise<readonly ResourceFault[]> {
    this.responses.push(update);
    const faults = this.refuse(update);
    if (update.typeUrl === sealType) this.#seal(update, faults);
    else this.#stage(update);
    await this.beforeAnswer();
    this.#changed();
    return faults;
  }

  untilActive(collection: string, revision: bigint): Promise<void> {
    return this.until(() => this.active.get(collection) === revision);
  }

  /** Resolves when a condition holds that something the node does makes true. */
  until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ condition, resolve }));
  }

  /** Versions of all data held of a collection, by name. */
  dataOf(collection: string): Readonly<Record<string, string>> {
    const data: Record<string, string> = {};
    for (const [typeUrl, versions] of this.#held) {
      for (const [name, version] of versions) {
        if (typeUrl !== sealType && collectionOf(name) === collection) data[name] = version;
      }
    }
    return data;
  }

  #stage({ typeUrl, resources, removed }: ResourceUpdate): void {
    const held = this.#held.get(typeUrl) ?? new Map<string, string>();
    this.#held.set(typeUrl, held);
    for (const { name, version } of resources) held.set(name, version);
    for (const name of removed) held.delete(name);
  }

  #seal(update: ResourceUpdate, faults: readonly ResourceFault[]): void {
    const refused = new Set(faults.map(({ name }) => name));
    for (const { name, body } of update.resources) {
      const { revision, versions } = readSeal(body);
      const collection = collectionOf(name);
      const data = this.dataOf(collection);
      const matches = sameRecord(data, versions);
      if (!matches) this.torn.push(`${collection}@${revision}: ${JSON.stringify({ data, versions })}`);
      if (matches && !refused.has(name)) this.active.set(collection, BigInt(revision));
    }
    for (const name of update.removed) {
      const left = this.dataOf(collectionOf(name));
      if (Object.keys(left).length > 0)
        this.torn.push(`${collectionOf(name)} removed with data: ${JSON.stringify(left)}`);
      this.active.delete(collectionOf(name));
    }
    this.#stage({
      ...update,
      resources: update.resources.filter(({ name }) => !refused.has(name)),
    });
  }

  #changed(): void {
    const met = this.#waiting.filter(({ condition }) => condition());
    this.#waiting = this.#waiting.filter((waiter) => !met.includes(waiter));
    for (const { resolve } of met) resolve();
  }
}

function collectionOf(name: string): string {
  return parseStructuredName(name)?.collection ?? '';
}

function sameRecord(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
