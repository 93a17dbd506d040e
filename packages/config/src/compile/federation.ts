import {
  Instructions_Members,
  type Member,
  type NameSelection,
  type ToolSearch,
  type UriSelection,
  type VirtualServer,
  VirtualServer_Conflicts,
  VirtualServer_PartialLists,
} from '@signalbox/proto/signalbox/config/v1/virtual_server_pb.ts';
import type { FederatedMember, Federation, NameMap, ToolSearchEntry } from '../federation/federation.ts';
import { compileGlobs } from '../federation/glob.ts';
import type { AuthorizationTable } from '../policy/authorization.ts';
import { maxNameLengthOf, memberKey } from '../resources/virtual-server.ts';
import type { BackendEntry } from '../backend-entry.ts';
import type { LimitEntry } from '../policy/limits.ts';

/** What a member leads to. */
export interface MemberParts {
  readonly backend: BackendEntry;
  readonly authorization: AuthorizationTable;
  readonly limits: readonly LimitEntry[];
}

/** Whether a virtual server presents one member as it is, so that nothing has to be done to its messages. */
export function isDirect({ members, instructions, toolSearch }: VirtualServer): boolean {
  const [member, ...others] = members;
  if (member === undefined || others.length > 0 || member.prefix !== '') return false;
  return instructions === undefined && toolSearch === undefined && isWhole(member);
}

function isWhole({ tools, prompts, resources }: Member): boolean {
  return tools === undefined && prompts === undefined && resources === undefined;
}

/** A virtual server → how it is presented. @param parts of its members, in their order. */
export function compileFederation(virtualServer: VirtualServer, parts: readonly MemberParts[]): Federation {
  const alone = virtualServer.members.filter(({ prefix }) => prefix === '').length === 1;
  const members = virtualServer.members.map((member, position) =>
    compileMember(member, position, alone, parts[position] as MemberParts),
  );
  const { instructions } = virtualServer;
  return Object.freeze({
    members: Object.freeze(members),
    byPrefix: new Map(members.filter(({ prefix }) => prefix !== '').map((member) => [member.prefix, member])),
    byKey: new Map(members.map((member) => [member.key, member])),
    unprefixed: Object.freeze(members.filter(({ prefix }) => prefix === '')),
    conflicts: virtualServer.conflicts === VirtualServer_Conflicts.PRIORITY ? 'priority' : 'refuse',
    partialLists: virtualServer.partialLists === VirtualServer_PartialLists.FAIL ? 'fail' : 'omit',
    maxNameLength: maxNameLengthOf(virtualServer),
    instructions: Object.freeze({
      text: instructions?.text ?? '',
      members: instructions?.members === Instructions_Members.LEAVE_OUT ? 'leave-out' : 'merge',
      maxBytes: instructions?.maxBytes || usualInstructionBytes,
    }),
    toolSearch: virtualServer.toolSearch ? compileToolSearch(virtualServer.toolSearch) : null,
  });
}

const usualInstructionBytes = 8_192;
const usualResults = 10;

function compileToolSearch({ pinned, maxResults }: ToolSearch): ToolSearchEntry {
  return Object.freeze({
    pins: pinned.length > 0,
    isPinned: compileGlobs(pinned),
    maxResults: maxResults || usualResults,
  });
}

/** @param alone there is only one member without prefix. */
function compileMember(member: Member, position: number, alone: boolean, parts: MemberParts): FederatedMember {
  const { prefix } = member;
  return Object.freeze({
    ...{ position, prefix, key: memberKey(member), ...parts },
    tools: compileNames(member.tools),
    prompts: compileNames(member.prompts),
    presentsUri: compileSelection(member.resources),
    isWhole: isWhole(member),
    wrapsUris: prefix !== '' || !alone,
  });
}

function compileNames(selection: NameSelection | undefined): NameMap {
  const renames = Object.entries(selection?.rename ?? {});
  return Object.freeze({
    renamed: new Map(renames),
    original: new Map(renames.map(([from, to]) => [to, from])),
    descriptions: new Map(Object.entries(selection?.descriptions ?? {})),
    presents: compileSelection(selection),
  });
}

function compileSelection(selection: NameSelection | UriSelection | undefined): (text: string) => boolean {
  const { include = [], exclude = [] } = selection ?? {};
  if (include.length === 0 && exclude.length === 0) return everything;
  const included = include.length === 0 ? everything : compileGlobs(include);
  const excluded = compileGlobs(exclude);
  return (text) => included(text) && !excluded(text);
}

const everything = (): boolean => true;
