import {
  type Instructions,
  Instructions_Members,
  type Member,
  type NameSelection,
  type ToolSearch,
  type VirtualServer,
  VirtualServer_Conflicts,
  VirtualServer_PartialLists,
} from '@signalbox/proto/signalbox/config/v1/virtual_server_pb.ts';
import { withPrefix } from '../federation/names.ts';
import type { ProblemList } from '../problem.ts';
import { nameFault, quote, textFault } from './name.ts';

const limits = {
  members: 32,
  patterns: 256,
  pattern: 256,
  renames: 256,
  description: 4_096,
  instructions: 65_536,
  results: 100,
};
const nameLengths = { least: 16, usual: 64, most: 128 };

/** Characters that a presented name may have. */
export function maxNameLengthOf(virtualServer: VirtualServer): number {
  return virtualServer.maxNameLength === 0 ? nameLengths.usual : virtualServer.maxNameLength;
}

/** How a member is told from the others: in URIs of its resources, and in names when it has a prefix. */
export function memberKey(member: Member): string {
  return member.prefix === '' ? member.backend : member.prefix;
}

/** What a VirtualServer must be by itself: members that can be told apart, and names that lead to one of them. */
export function checkVirtualServer(virtualServer: VirtualServer, found: ProblemList): void {
  const { members, conflicts, partialLists, maxNameLength, instructions, toolSearch } = virtualServer;
  const { least, most } = nameLengths;
  if (maxNameLength !== 0 && (maxNameLength < least || maxNameLength > most)) {
    found.error('invalid-value', 'spec.maxNameLength', `must be from ${least} to ${most}, or 0`);
  }
  checkEnum('spec.conflicts', conflicts, VirtualServer_Conflicts, found);
  checkEnum('spec.partialLists', partialLists, VirtualServer_PartialLists, found);
  if (instructions !== undefined) checkInstructions(instructions, found);
  if (toolSearch !== undefined) checkToolSearch(toolSearch, found);
  if (members.length === 0) return found.error('missing-field', 'spec.members', 'needs one member');
  if (!found.bounded('spec.members', members, limits.members)) return;
  for (const [at, member] of members.entries()) checkMember(`spec.members[${at}]`, member, virtualServer, found);
  if (!found.refused && members.length > 1) checkTogether(virtualServer, found);
}

function checkMember(field: string, member: Member, virtualServer: VirtualServer, found: ProblemList): void {
  found.require(`${field}.backend`, member.backend, nameFault);
  if (member.prefix !== '') found.check(`${field}.prefix`, prefixFault(member.prefix));
  for (const kind of ['tools', 'prompts'] as const) {
    const selection = member[kind];
    if (selection !== undefined) checkSelection(`${field}.${kind}`, selection, { member, virtualServer }, found);
  }
  const { include = [], exclude = [] } = member.resources ?? {};
  found.checkEach(`${field}.resources.include`, include, limits.patterns, uriPatternFault);
  found.checkEach(`${field}.resources.exclude`, exclude, limits.patterns, uriPatternFault);
}

interface SelectionContext {
  readonly member: Member;
  readonly virtualServer: VirtualServer;
}

function checkSelection(field: string, selection: NameSelection, context: SelectionContext, found: ProblemList): void {
  found.checkEach(`${field}.include`, selection.include, limits.patterns, namePatternFault);
  found.checkEach(`${field}.exclude`, selection.exclude, limits.patterns, namePatternFault);
  checkRenames(`${field}.rename`, selection.rename, context, found);
  const descriptions = Object.entries(selection.descriptions);
  if (!found.bounded(`${field}.descriptions`, descriptions, limits.renames)) return;
  for (const [name, text] of descriptions) {
    found.check(`${field}.descriptions`, mcpNameFault(name));
    const fault = textFault(text.replaceAll(/[\n\t]/g, ' '), limits.description);
    if (fault !== undefined) found.error('invalid-value', `${field}.descriptions`, `of ${quote(name)} ${fault}`);
  }
}

function checkRenames(
  field: string,
  rename: NameSelection['rename'],
  { member, virtualServer }: SelectionContext,
  found: ProblemList,
): void {
  const renames = Object.entries(rename);
  if (!found.bounded(field, renames, limits.renames)) return;
  const most = maxNameLengthOf(virtualServer);
  const taken = new Map<string, string>();
  for (const [from, to] of renames) {
    found.check(field, mcpNameFault(from) ?? mcpNameFault(to));
    const other = taken.get(to);
    if (other !== undefined) {
      found.error('duplicate', field, `${quote(from)} and ${quote(other)} both become ${quote(to)}`);
    }
    taken.set(to, from);
    const { length } = withPrefix(member.prefix, to);
    if (length > most) {
      found.error('limit-exceeded', field, `${quote(to)} has ${length} characters with its prefix; at most ${most}`);
    }
  }
}

function checkInstructions({ text, members, maxBytes }: Instructions, found: ProblemList): void {
  checkEnum('spec.instructions.members', members, Instructions_Members, found);
  found.check('spec.instructions.text', textFault(text.replaceAll(/[\n\t]/g, ' '), limits.instructions));
  if (maxBytes !== 0 && (maxBytes < 256 || maxBytes > limits.instructions)) {
    found.error('invalid-value', 'spec.instructions.maxBytes', `must be from 256 to ${limits.instructions}, or 0`);
  }
}

function checkToolSearch({ pinned, maxResults }: ToolSearch, found: ProblemList): void {
  found.checkEach('spec.toolSearch.pinned', pinned, limits.patterns, namePatternFault);
  if (maxResults > limits.results) {
    found.error('invalid-value', 'spec.toolSearch.maxResults', `must be from 1 to ${limits.results}, or 0`);
  }
}

/** What several members must be to each other. */
function checkTogether({ members, conflicts }: VirtualServer, found: ProblemList): void {
  const { PREFIX, CONFLICTS_UNSPECIFIED } = VirtualServer_Conflicts;
  const needsPrefix = conflicts === PREFIX || conflicts === CONFLICTS_UNSPECIFIED;
  const keys = new Set<string>();
  for (const [at, member] of members.entries()) {
    const field = `spec.members[${at}].prefix`;
    const key = memberKey(member);
    if (member.prefix === '' && needsPrefix) {
      const message = 'is required for each of several members; or set conflicts to PRIORITY or REFUSE';
      found.error('missing-field', field, message);
    } else if (keys.has(key)) {
      found.error('duplicate', field, `another member already goes by ${quote(key)}`);
    } else if (prefixFault(key) !== undefined) {
      const message = `is required: resources go by it, and the backend's name ${quote(key)} cannot begin a URI`;
      found.error('missing-field', field, message);
    }
    keys.add(key);
  }
  checkSharedRenames(members, found);
}

/** Two members without prefix that rename to one name would leave it to chance what was meant. */
function checkSharedRenames(members: readonly Member[], found: ProblemList): void {
  for (const kind of ['tools', 'prompts'] as const) {
    const taken = new Map<string, string>();
    for (const [at, member] of members.entries()) {
      if (member.prefix !== '') continue;
      for (const name of Object.values(member[kind]?.rename ?? {})) {
        const other = taken.get(name);
        const field = `spec.members[${at}].${kind}.rename`;
        if (other !== undefined) {
          found.error('conflict', field, `member ${other} without prefix also renames to ${quote(name)}`);
        }
        taken.set(name, member.backend);
      }
    }
  }
}

function checkEnum(field: string, value: number, values: Readonly<Record<string, number>>, found: ProblemList): void {
  if (!Object.values(values).includes(value)) {
    found.error('invalid-value', field, 'is not a value that this version knows');
  }
}

/** A prefix stands in names and begins the schemes of URIs (RFC 3986, 3.1). */
function prefixFault(prefix: string): string | undefined {
  if (/^[a-z](?:[a-z0-9-]{0,30}[a-z0-9])?$/.test(prefix)) return undefined;
  return `${quote(prefix)} is not a prefix: use 1 to 32 lower-case letters, digits and '-', a letter first, no '-' last`;
}

/** Names of tools and prompts as MCP advises: 1 to 128 letters, digits, '_', '-' and '.'. */
function mcpNameFault(name: string): string | undefined {
  if (/^[A-Za-z0-9_.-]{1,128}$/.test(name)) return undefined;
  return `${quote(name)} is not a name: use 1 to 128 letters, digits, '_', '-' and '.'`;
}

function namePatternFault(pattern: string): string | undefined {
  if (/^[A-Za-z0-9_.*-]{1,128}$/.test(pattern)) return undefined;
  return `${quote(pattern)} is not a pattern: use 1 to 128 letters, digits, '_', '-', '.' and '*'`;
}

function uriPatternFault(pattern: string): string | undefined {
  if (pattern === '') return 'is empty';
  return textFault(pattern, limits.pattern);
}
