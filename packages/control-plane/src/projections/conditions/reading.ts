import type { MetadataFilter, Option } from './formula.ts';

/** What a request is about, and the methods that are about it. */
export interface Topic {
  readonly name: 'tool' | 'prompt' | 'resource';
  readonly methods: readonly string[];
  /** Where the message names its subject, below `params`. */
  readonly subject: 'name' | 'uri';
}

/** Of routes of MCP. */
export const topics: readonly Topic[] = [
  { name: 'tool', methods: ['tools/call'], subject: 'name' },
  { name: 'prompt', methods: ['prompts/get'], subject: 'name' },
  { name: 'resource', methods: ['resources/read', 'resources/subscribe'], subject: 'uri' },
];

/** Who calls, as far as it is known before the request comes. */
export type Caller =
  | { readonly kind: 'jwt'; readonly issuer: string; readonly groupsClaim: string }
  | { readonly kind: 'api-key' }
  | { readonly kind: 'anonymous'; readonly subject: string };

/** What a field of an expression is to a data plane. */
export type Reading =
  /** Known when the configuration is made. */
  | { readonly kind: 'constant'; readonly value: string }
  /** A text that every request has. */
  | { readonly kind: 'text'; readonly filter: MetadataFilter; readonly path: readonly string[] }
  | { readonly kind: 'host' }
  /** Method, or path without query, of an HTTP request. */
  | { readonly kind: 'method' | 'path' }
  /** One of a few texts, each of which has its condition; requests of which none holds are denied. */
  | { readonly kind: 'one-of'; readonly options: readonly Option[] }
  /** A header field that may be missing. */
  | { readonly kind: 'header'; readonly name: string }
  /** All header fields. */
  | { readonly kind: 'headers'; readonly read: (name: string) => Reading }
  /** A claim that is a text or a list of texts; undefined for callers without groups. */
  | { readonly kind: 'groups'; readonly path: readonly string[] | undefined }
  /** What may be missing, and of any type. */
  | { readonly kind: 'open'; readonly filter: MetadataFilter; readonly path: readonly string[] }
  /** What is never there, in a map that is. */
  | { readonly kind: 'absent' }
  /** What is in something that is never there: to read it is an error. */
  | { readonly kind: 'unreachable' }
  | { readonly kind: 'unknown'; readonly feature: string };

export function describeCaller(caller: Caller): string {
  return caller.kind === 'jwt' ? caller.issuer : caller.kind;
}

/** A claim of callers that have none. @param path below the claims */
export function noClaim(path: readonly string[]): Reading {
  if (path.length === 0) return allClaims;
  return { kind: path.length === 1 ? 'absent' : 'unreachable' };
}

export const allClaims: Reading = { kind: 'unknown', feature: 'all claims at once' };
