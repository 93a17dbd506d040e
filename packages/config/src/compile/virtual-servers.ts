import { digestOf } from '../digest.ts';
import type { BackendEntry } from '../backend-entry.ts';
import { stepSize } from '../steps.ts';
import type { McpRoute } from '../table.ts';
import { compileFederation, isDirect } from './federation.ts';
import type { AppliedPolicies, PolicyTree } from './policies.ts';
import type { Source } from './source.ts';

/** A virtual server, compiled once for all routes that lead to it. */
export interface CompiledVirtualServer {
  readonly source: Source<'VirtualServer'>;
  /** Of its members, in their order. */
  readonly backends: readonly BackendEntry[];
  /** Of a federation: what policies on its backends say, in the order of members. */
  readonly ofMembers: readonly AppliedPolicies[];
  readonly mcp: McpRoute;
  /** Hash of all of it. */
  readonly digest: string;
}

/**
 * Compiles all virtual servers, whose references have been checked; one that is made of the same things in `previous` is
 * taken from there.
 */
export function* compileVirtualServersSteps(
  tenant: string,
  sources: ReadonlyMap<string, Source<'VirtualServer'>>,
  { backends, policies }: { readonly backends: ReadonlyMap<string, BackendEntry>; readonly policies: PolicyTree },
  previous: ReadonlyMap<string, CompiledVirtualServer>,
): Generator<void, ReadonlyMap<string, CompiledVirtualServer>> {
  const compiled = new Map<string, CompiledVirtualServer>();
  for (const source of sources.values()) {
    const { members } = source.message;
    const entries = members.map(({ backend }) => backends.get(backend) as BackendEntry);
    const ofMembers = isDirect(source.message) ? [] : members.map(({ backend }) => policies.ofBackend(backend));
    const same = previous.get(source.name);
    const isSame =
      same?.source === source && isSameList(same.backends, entries) && isSameList(same.ofMembers, ofMembers);
    compiled.set(source.name, isSame ? same : compileVirtualServer(tenant, source, entries, ofMembers));
    if (compiled.size % stepSize === 0) yield;
  }
  return compiled;
}

function compileVirtualServer(
  tenant: string,
  source: Source<'VirtualServer'>,
  backends: readonly BackendEntry[],
  ofMembers: readonly AppliedPolicies[],
): CompiledVirtualServer {
  const backend = backends[0] as BackendEntry;
  const parts = ofMembers.map(({ authorization, limits, bounds }, at) => ({
    backend: backends[at] as BackendEntry,
    ...{ authorization, limits, bounds },
  }));
  const federation = parts.length === 0 ? null : compileFederation(source.message, parts);
  const mcp: McpRoute = Object.freeze({
    virtualServer: source.name,
    sessionKey: federation === null ? backend.key : `${tenant}/${source.name}#federated`,
    member: Object.freeze({ backend }),
    federation,
  });
  const content = [source.name, source.digest, ...backends.map(({ key }) => key), ...ofMembers.map((of) => of.digest)];
  return Object.freeze({ source, backends, ofMembers, mcp, digest: digestOf(content.join('\n')) });
}

/** By identity: what did not change between two compiles is the same object in both. */
function isSameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, at) => item === b[at]);
}
