import { digestOf } from '@signalbox/config';
import { type Collection, encodeEntry, type ResourceDelta, type ResourceEntry } from '@signalbox/xds';
import type { ProjectedResource } from '../projections/projection.ts';

type EntriesByType = ReadonlyMap<string, ReadonlyMap<string, ResourceEntry>>;

/** What a projection makes of a view, at one state of its scopes. Immutable; equal resources are the same objects. */
export class ViewCollection implements Collection {
  readonly id: string;
  /** Counts the states of this view in this process; nothing but its order means anything. */
  readonly revision: bigint;
  /** Revisions of the scopes that are in it. */
  readonly covers: ReadonlyMap<string, bigint>;
  readonly #types: EntriesByType;

  private constructor(
    id: string,
    revision: bigint,
    content: { readonly covers: ReadonlyMap<string, bigint>; readonly types: EntriesByType },
  ) {
    this.id = id;
    this.revision = revision;
    this.covers = content.covers;
    this.#types = content.types;
  }

  /** The state that follows another, or the first one. */
  static of(
    id: string,
    resources: Iterable<ProjectedResource>,
    covers: ReadonlyMap<string, bigint>,
    before: ViewCollection | undefined,
  ): ViewCollection {
    const revision = (before?.revision ?? 0n) + 1n;
    const types = new Map<string, Map<string, ResourceEntry>>();
    for (const resource of resources) {
      const { typeUrl, name } = resource;
      const entries = types.get(typeUrl) ?? new Map<string, ResourceEntry>();
      if (entries.has(name))
        throw new Error(`a projection gives two resources of the type ${typeUrl} the name ${name}`);
      types.set(typeUrl, entries.set(name, entryOf(resource, revision, before?.get(typeUrl, name))));
    }
    return new ViewCollection(id, revision, { covers, types });
  }

  get(typeUrl: string, name: string): ResourceEntry | undefined {
    return this.#types.get(typeUrl)?.get(name);
  }

  all(typeUrl: string): Iterable<ResourceEntry> {
    return this.#types.get(typeUrl)?.values() ?? [];
  }

  /** Views remember no changes: two states are compared. */
  changedSince(): ResourceDelta | undefined {
    return undefined;
  }
}

function entryOf(resource: ProjectedResource, revision: bigint, before: ResourceEntry | undefined): ResourceEntry {
  const version = digestOf(resource.body);
  return before?.version === version ? before : encodeEntry({ ...resource, version }, revision);
}
