import {
  applyChanges,
  digestOf,
  type Kind,
  kindOfTypeUrl,
  makeSnapshot,
  massRemoval,
  operatorScope,
  parseDiscoveryName,
  type RemovalLimits,
  scopeOfKind,
  type Snapshot,
  type StoredResource,
} from '@signalbox/config';
import type { ReceivedResource } from '@signalbox/xds';

import type { CommittedChange, CommittedRevision, CommittedScope } from '../store/change-feed.ts';

export interface ReceivedSetLimits {
  /** Resources of one scope. */
  readonly resources: number;
  /** Bytes of one scope. */
  readonly bytes: number;
  readonly removals: RemovalLimits;
}

/** What a Manifest says. */
export interface Announced {
  readonly revision: bigint;
  readonly hash: string;
  readonly removalsConfirmed: bigint;
  /** Version of the Manifest itself. */
  readonly version: string;
}

/**
 * One scope as it comes down a discovery stream: what was received, off to the side of the last set that was whole. It
 * mirrors what the other end believes this one to hold, so that the next delta applies to it.
 */
export class ReceivedSet {
  readonly scope: string;
  readonly #limits: ReceivedSetLimits;
  /** By `<Kind>/<name>`. */
  readonly #held = new Map<string, StoredResource>();
  /** What has changed since the last whole set. */
  readonly #touched = new Map<string, CommittedChange>();
  #bytes = 0;
  #whole: Snapshot;
  #committedAtMs = 0;
  #removalsConfirmed = 0n;
  #version = '';

  constructor(scope: string, limits: ReceivedSetLimits) {
    this.scope = scope;
    this.#limits = limits;
    this.#whole = makeSnapshot(scope, 0n, []);
  }

  /** Begins with a set that is known to be whole. @param version of its Manifest. */
  static restored(known: CommittedScope, version: string, limits: ReceivedSetLimits): ReceivedSet {
    const set = new ReceivedSet(known.scope, limits);
    for (const resource of known.resources) {
      set.#held.set(keyOf(resource), resource);
      set.#bytes += resource.body.length;
    }
    set.#whole = makeSnapshot(known.scope, known.revision, known.resources);
    set.#committedAtMs = known.committedAtMs;
    set.#removalsConfirmed = known.removalsConfirmed;
    set.#version = version;
    return set;
  }

  /** The last whole set; undefined before the first. */
  get committed(): CommittedScope | undefined {
    if (this.#whole.revision === 0n && this.#version === '') return undefined;
    const { scope, revision, resources } = this.#whole;
    const head = { scope, revision, committedAtMs: this.#committedAtMs, removalsConfirmed: this.#removalsConfirmed };
    return { ...head, resources: [...resources.values()] };
  }

  /** Version of the Manifest of the last whole set; empty without one. */
  get manifestVersion(): string {
    return this.#version;
  }

  get isEmpty(): boolean {
    return this.#held.size === 0;
  }

  held(): Iterable<StoredResource> {
    return this.#held.values();
  }

  /** Takes a resource in. @returns why it cannot be taken; undefined when it was. */
  put(received: ReceivedResource, kind: Kind): string | undefined {
    const id = parseDiscoveryName(received.name);
    if (id?.kind !== kind || kindOfTypeUrl(received.typeUrl) !== kind) return 'the name does not belong to the type';
    if ((scopeOfKind(kind) === 'operator') !== (id.scope === operatorScope)) return `no ${kind} belongs to this scope`;
    if (digestOf(received.body) !== received.version)
      return 'the content does not have the digest that its version names';
    const resource = { kind, name: id.name, body: received.body, digest: received.version };
    const key = keyOf(resource);
    const bytes = this.#bytes - (this.#held.get(key)?.body.length ?? 0) + resource.body.length;
    if (!this.#held.has(key) && this.#held.size >= this.#limits.resources)
      return `this relay holds at most ${this.#limits.resources} resources of a scope`;
    if (bytes > this.#limits.bytes) return `this relay holds at most ${this.#limits.bytes} bytes of a scope`;
    this.#bytes = bytes;
    this.#held.set(key, resource);
    this.#touched.set(key, { kind, name: id.name, resource });
    return undefined;
  }

  /** Forgets a resource. Names that are not held are fine. */
  remove(kind: Kind, name: string): void {
    const key = keyOf({ kind, name });
    const held = this.#held.get(key);
    if (!held) return;
    this.#held.delete(key);
    this.#bytes -= held.body.length;
    this.#touched.set(key, { kind, name, resource: null });
  }

  /** As if everything of it had been removed. The last whole set stays what it was. */
  lose(): void {
    for (const { kind, name } of [...this.#held.values()]) this.remove(kind, name);
    this.withdrawn();
  }

  /** Its Manifest is gone: the other end has nothing of the scope any more. The last whole set stays what it was. */
  withdrawn(): void {
    this.#version = '';
  }

  /**
   * A Manifest closes what was received.
   * @returns the revision; why it is refused; undefined if it is the one that is known already, and was not out of sight.
   */
  close(announced: Announced, nowMs: number): CommittedRevision | string | undefined {
    const { revision, hash, removalsConfirmed, version } = announced;
    const before = this.#whole;
    if (revision < before.revision && hash !== before.hash) {
      return `revision ${revision} is older than revision ${before.revision}, which is served`;
    }
    const changes = [...this.#touched.values()];
    const set = applyChanges(before, revision, changes.map(asSnapshotChange));
    if (set.hash !== hash)
      return `the set does not match the manifest: ${set.resources.size} resources with hash ${set.hash}, announced is ${hash}`;
    if (revision <= before.revision) {
      if (hash !== before.hash) return `revision ${revision} has another content than the one that is served`;
      const isBack = this.#version === '' && revision === before.revision;
      this.#accept(before, version);
      const { scope } = this;
      return isBack
        ? { scope, revision, committedAtMs: this.#committedAtMs, removalsConfirmed, changes: [] }
        : undefined;
    }
    const isFirst = before.revision === 0n;
    const removal =
      isFirst || removalsConfirmed > before.revision ? undefined : massRemoval(before, set, this.#limits.removals);
    if (removal) {
      return `revision ${revision} lacks ${removal.removed} of the ${removal.of} resources of revision ${before.revision}, and nothing says that this is meant: restore them, or write a revision with confirm_removal`;
    }
    this.#accept(set, version);
    this.#committedAtMs = nowMs;
    this.#removalsConfirmed = removalsConfirmed;
    return { scope: this.scope, revision, committedAtMs: nowMs, removalsConfirmed, changes };
  }

  #accept(set: Snapshot, version: string): void {
    this.#whole = set;
    this.#version = version;
    this.#touched.clear();
  }
}

function keyOf({ kind, name }: { readonly kind: Kind; readonly name: string }): string {
  return `${kind}/${name}`;
}

function asSnapshotChange({ kind, name, resource }: CommittedChange) {
  return resource ? { put: resource } : { delete: { kind, name } };
}
