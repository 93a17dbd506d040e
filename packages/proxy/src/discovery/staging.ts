import {
  digestOf,
  type Kind,
  kindOfTypeUrl,
  operatorScope,
  parseDiscoveryName,
  scopeOfKind,
  type Snapshot,
  type StoredResource,
} from '@signalbox/config';
import type { ReceivedResource } from '@signalbox/xds';

/** What a Manifest says about the set of its scope. */
export interface Announcement {
  readonly revision: bigint;
  readonly hash: string;
  readonly resourceCount: number;
  /** Removals up to this revision are meant. */
  readonly removalsConfirmed: bigint;
  /** Version of the Manifest itself. */
  readonly version: string;
}

export interface StagingLimits {
  /** Scopes that are held at a time. */
  readonly scopes: number;
  /** Resources of one scope. */
  readonly resources: number;
  /** Bytes of the resources of one scope. */
  readonly bytes: number;
}

/** Everything received of one scope. */
export interface StagedScope {
  /** By `<Kind>/<name>`. */
  readonly resources: Map<string, StoredResource>;
  bytes: number;
  /** The newest Manifest; undefined before the first. */
  announced: Announcement | undefined;
  /** Version of the Manifest whose set is served; empty when none is. */
  servedVersion: string;
}

/**
 * What has been received, set by set, off to the side of what is served. It mirrors what the control plane believes
 * this node to hold, so that the next delta applies to it, whether or not a set could be activated.
 */
export class Staging {
  readonly #limits: StagingLimits;
  readonly #scopes = new Map<string, StagedScope>();

  constructor(limits: StagingLimits) {
    this.#limits = limits;
  }

  get(scope: string): StagedScope | undefined {
    return this.#scopes.get(scope);
  }

  scopes(): Iterable<[string, StagedScope]> {
    return this.#scopes;
  }

  /** The scope, made if it is new; undefined when there are too many. */
  open(scope: string): StagedScope | undefined {
    const known = this.#scopes.get(scope);
    if (known || this.#scopes.size >= this.#limits.scopes) return known;
    const created: StagedScope = { resources: new Map(), bytes: 0, announced: undefined, servedVersion: '' };
    this.#scopes.set(scope, created);
    return created;
  }

  close(scope: string): void {
    this.#scopes.delete(scope);
  }

  /** Starts a scope with a set that is known to be whole. */
  restore(snapshot: Snapshot): void {
    const staged = this.open(snapshot.scope);
    for (const [key, resource] of snapshot.resources) {
      staged?.resources.set(key, resource);
      if (staged) staged.bytes += resource.body.length;
    }
  }

  /** Takes a resource in. @returns why it cannot be taken; undefined when it was. */
  put(received: ReceivedResource, kind: Kind): string | undefined {
    const id = parseDiscoveryName(received.name);
    if (!id || id.kind !== kind || kindOfTypeUrl(received.typeUrl) !== kind)
      return 'the name does not belong to the type';
    if ((scopeOfKind(kind) === 'operator') !== (id.scope === operatorScope)) return `no ${kind} belongs to this scope`;
    if (digestOf(received.body) !== received.version)
      return 'the content does not have the digest that its version names';
    const staged = this.open(id.scope);
    if (!staged) return `this node holds at most ${this.#limits.scopes} scopes`;
    const key = `${kind}/${id.name}`;
    const previous = staged.resources.get(key);
    const bytes = staged.bytes - (previous?.body.length ?? 0) + received.body.length;
    if (!previous && staged.resources.size >= this.#limits.resources) {
      return `this node holds at most ${this.#limits.resources} resources of a scope`;
    }
    if (bytes > this.#limits.bytes) return `this node holds at most ${this.#limits.bytes} bytes of a scope`;
    staged.bytes = bytes;
    // A copy: the received bytes are a view of the whole response, which would stay in memory with them.
    const body = Buffer.from(received.body);
    staged.resources.set(key, { kind, name: id.name, body, digest: received.version });
    return undefined;
  }

  /** Forgets a resource. Names that are not held are fine. */
  remove(discoveryName: string, kind: Kind): void {
    const id = parseDiscoveryName(discoveryName);
    const staged = id?.kind === kind ? this.#scopes.get(id.scope) : undefined;
    const key = `${kind}/${id?.name}`;
    const held = staged?.resources.get(key);
    if (!staged || !held) return;
    staged.resources.delete(key);
    staged.bytes -= held.body.length;
  }
}
