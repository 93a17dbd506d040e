import type { Kind } from './kind.ts';
import type { Snapshot, StoredResource } from './snapshot.ts';

/** One difference between two snapshots of a scope. */
export type Change =
  | { readonly op: 'create'; readonly kind: Kind; readonly name: string; readonly after: StoredResource }
  | {
      readonly op: 'update';
      readonly kind: Kind;
      readonly name: string;
      readonly before: StoredResource;
      readonly after: StoredResource;
    }
  | { readonly op: 'delete'; readonly kind: Kind; readonly name: string; readonly before: StoredResource };

/** What has to change to get from one snapshot to the other, sorted by kind and name. */
export function diffSnapshots(before: Snapshot, after: Snapshot): Change[] {
  const changes = new Map<string, Change>();
  for (const [key, next] of after.resources) {
    const { kind, name } = next;
    const present = before.resources.get(key);
    if (present === undefined) changes.set(key, { op: 'create', kind, name, after: next });
    else if (present.digest !== next.digest) {
      changes.set(key, { op: 'update', kind, name, before: present, after: next });
    }
  }
  for (const [key, present] of before.resources) {
    if (after.resources.has(key)) continue;
    changes.set(key, { op: 'delete', kind: present.kind, name: present.name, before: present });
  }
  return [...changes.keys()].sort().flatMap((key) => changes.get(key) ?? []);
}
