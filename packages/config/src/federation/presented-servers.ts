import { create } from '@bufbuild/protobuf';
import { BackendSchema } from '@signalbox/proto/signalbox/config/v1/backend_pb.ts';
import { compileBackend } from '../compile/backend.ts';
import { compileFederation } from '../compile/federation.ts';
import { compileAuthorization } from '../policy/compile-rules.ts';
import { decodeStored, type ResourceOf } from '../resource.ts';
import type { Snapshot } from '../snapshot.ts';
import { metaTools } from './meta-tools.ts';
import { presentedName } from './names.ts';

/** What a virtual server presents of its members to somebody who may see everything, whatever routes lead to it. */
export interface PresentedServer {
  readonly name: string;
  readonly members: readonly PresentedMember[];
  /** Tools of the gateway's own that it lists. */
  readonly ownTools: readonly { readonly name: string; readonly description: string; readonly inputSchema: object }[];
  readonly hasSearch: boolean;
  /** Whether a tool is listed; otherwise search finds it. */
  readonly lists: (presented: string) => boolean;
}

interface PresentedMember {
  readonly backend: string;
  /** Name and description of a tool as clients see them; undefined if they do not. */
  present<T extends { readonly name: string; readonly description?: string }>(tool: T): T | undefined;
}

/** The virtual servers of a tenant, by name. What cannot be read is left out. */
export function presentedServers({ scope, resources }: Snapshot): readonly PresentedServer[] {
  const stored = [...resources.values()].filter(({ kind }) => kind === 'VirtualServer');
  return stored.flatMap((each) => {
    const { resource } = decodeStored(each, scope);
    return resource?.kind === 'VirtualServer' ? [presentedServer(resource)] : [];
  });
}

function presentedServer({ scope, name, message }: ResourceOf<'VirtualServer'>): PresentedServer {
  const nothing = compileAuthorization([]);
  const parts = message.members.map(({ backend }) => {
    // Where a member is does not matter to how it is presented.
    const source = { name: backend, digest: '', message: create(BackendSchema), problems: [] };
    return { backend: compileBackend(scope, source), authorization: nothing, limits: [] };
  });
  const federation = compileFederation(message, parts);
  const { toolSearch } = federation;
  return {
    ...{ name, hasSearch: toolSearch !== null, ownTools: toolSearch ? metaTools : [] },
    lists: (presented) => toolSearch === null || toolSearch.isPinned(presented),
    members: federation.members.map((member) => ({
      backend: member.backend.name,
      present: (tool) => {
        const presented = presentedName(federation, member, 'tools', tool.name);
        const description = member.tools.descriptions.get(tool.name);
        return presented === undefined ? undefined : { ...tool, name: presented, ...(description && { description }) };
      },
    })),
  };
}
