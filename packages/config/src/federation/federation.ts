import type { AuthorizationTable } from '../policy/authorization.ts';
import type { BackendEntry } from '../backend-entry.ts';
import type { LimitEntry } from '../policy/limits.ts';

/** How the members of a virtual server are presented as one MCP server. */
export interface Federation {
  /** In the order in which lists show them; at least one. */
  readonly members: readonly FederatedMember[];
  /** By prefix; members without one are not in it. */
  readonly byPrefix: ReadonlyMap<string, FederatedMember>;
  /** By key. */
  readonly byKey: ReadonlyMap<string, FederatedMember>;
  /** Members without prefix, in order. */
  readonly unprefixed: readonly FederatedMember[];
  /** Whose a name is that several members without prefix have: the first one's, or nobody's. */
  readonly conflicts: 'priority' | 'refuse';
  /** What a list is while a member does not answer: what the others have, or an error. */
  readonly partialLists: 'omit' | 'fail';
  /** Characters of a presented name. */
  readonly maxNameLength: number;
  readonly instructions: {
    readonly text: string;
    readonly members: 'merge' | 'leave-out';
    readonly maxBytes: number;
  };
  /** Tools are found by search; null: they are listed. */
  readonly toolSearch: ToolSearchEntry | null;
}

export interface ToolSearchEntry {
  /** Whether any tool may be listed all the same. */
  readonly pins: boolean;
  /** Whether a tool, by its presented name, is listed all the same. */
  readonly isPinned: (presented: string) => boolean;
  /** Tools that one search finds at most. */
  readonly maxResults: number;
}

export interface FederatedMember {
  /** Position among the members. */
  readonly position: number;
  /** Its prefix, or without one the name of its backend: unique among the members, fit to begin a URI scheme. */
  readonly key: string;
  /** Empty: names are presented as they are. */
  readonly prefix: string;
  readonly backend: BackendEntry;
  readonly tools: NameMap;
  readonly prompts: NameMap;
  /** Whether a resource of the member is presented, by its own URI. */
  readonly presentsUri: (uri: string) => boolean;
  /** All that it has is presented, with nothing but the prefix in front. */
  readonly isWhole: boolean;
  /** URIs of the member are presented with its key in front: it has a prefix, or is not the only one without. */
  readonly wrapsUris: boolean;
  /** Rules of policies on the member's backend. They see names and URIs as the backend has them. */
  readonly authorization: AuthorizationTable;
  /** Limits of policies on the member's backend: for calls that go there. */
  readonly limits: readonly LimitEntry[];
}

/** Names of a member's tools or prompts: its own ones, and what they become before the prefix. */
export interface NameMap {
  /** New name by old one. */
  readonly renamed: ReadonlyMap<string, string>;
  /** Old name by new one. */
  readonly original: ReadonlyMap<string, string>;
  /** Descriptions by the member's own names. */
  readonly descriptions: ReadonlyMap<string, string>;
  /** Whether a name, as the member has it, is presented. */
  readonly presents: (name: string) => boolean;
}

/** What a presented name leads to. */
export interface MemberName {
  readonly member: FederatedMember;
  /** The name as the member has it. */
  readonly name: string;
}

/** What a presented URI leads to. */
export interface MemberUri {
  readonly member: FederatedMember;
  /** The URI as the member has it. */
  readonly uri: string;
}

export type NameKind = 'tools' | 'prompts';
