import type { DescriptorKind, Descriptor } from '@signalbox/config';

/** What is known of one MCP backend. */
export interface Catalog {
  readonly tenant: string;
  readonly backend: string;
  readonly state: CatalogState;
  /** Why it is not current, for people; empty if it is. Text of the server may be in it. */
  readonly problem: string;
  readonly checkedAt: Date | undefined;
  readonly node: string;
  /** When a node is to look at it. */
  readonly dueAt: Date;
  readonly era: string;
  readonly protocolVersion: string;
  /** Of the newest version; 0n and undefined if there is none. */
  readonly version: bigint;
  readonly changedAt: Date | undefined;
  readonly digest: string;
  readonly counts: CatalogCounts;
  readonly toolTokens: number;
}

export type CatalogState = 'pending' | 'current' | 'needs-auth' | 'unreachable' | 'failed';

export interface CatalogCounts {
  readonly tools: number;
  readonly prompts: number;
  readonly resources: number;
  readonly templates: number;
}

/** A descriptor, and the version since which it stands so. */
export interface CatalogEntry extends Descriptor {
  readonly since: bigint;
}

/** A version of what a backend has, by what is other than in the one before. */
export interface CatalogVersion {
  readonly version: bigint;
  readonly at: Date;
  readonly digest: string;
  /** That has seen it first. */
  readonly node: string;
  readonly added: number;
  readonly removed: number;
  readonly changed: number;
  /** The first of these, such as `tool get_forecast`. */
  readonly names: readonly string[];
}

/** What a node has found out. */
export type Finding = {
  readonly node: string;
} & (
  | {
      readonly state: 'current';
      readonly era: string;
      readonly protocolVersion: string;
      readonly descriptors: readonly Descriptor[];
      /** What was left out, for people; else empty. */
      readonly problem: string;
    }
  | { readonly state: Exclude<CatalogState, 'pending' | 'current'>; readonly problem: string }
);

/** One descriptor that is other than before; of an added one there is no `before`, of a removed one no `after`. */
export interface EntryChange<T = CatalogEntry> {
  readonly kind: DescriptorKind;
  readonly name: string;
  readonly before: T | undefined;
  readonly after: T | undefined;
}

/** What has to change to get from one set of descriptors to the other, by kind and name. */
export function entryChanges<B extends Entry, A extends Entry>(
  before: readonly B[],
  after: readonly A[],
): readonly EntryChange<A | B>[] {
  const old = new Map(before.map((entry) => [keyOf(entry), entry]));
  const now = new Map(after.map((entry) => [keyOf(entry), entry]));
  return [...new Set([...old.keys(), ...now.keys()])].sort().flatMap((key) => {
    const [was, is] = [old.get(key), now.get(key)];
    const { kind, name } = (is ?? was) as A | B;
    return was?.digest === is?.digest ? [] : [{ kind, name, before: was, after: is }];
  });
}

type Entry = Pick<Descriptor, 'kind' | 'name' | 'digest'>;

/** No kind has a space in it. */
function keyOf({ kind, name }: Entry): string {
  return `${kind} ${name}`;
}
