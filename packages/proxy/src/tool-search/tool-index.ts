import {
  type FederatedMember,
  type Federation,
  resolveName,
  type SearchedTool,
  type ToolDocument,
  toolDocument,
} from '@signalbox/config';
import type { Clock } from '@signalbox/runtime';
import { type EntryJudge, presentedEntries } from '../federation/list-entries.ts';
import type { ListRule } from '../mcp/codec/codec.ts';
import { TimeSlice } from '../table/time-slice.ts';
import type { MemberToolList } from './member-tools.ts';

/** A tool that search may find, for somebody who may see everything. */
export interface IndexedTool {
  readonly member: FederatedMember;
  /** As the member has it. */
  readonly own: string;
  readonly document: ToolDocument;
  readonly title: string;
  readonly description: string;
}

/** What is read of lists for search, once for each list and way of presenting it, in slices: a list may have thousands. */
export class ToolIndex {
  readonly #indexed = new WeakMap<MemberToolList, Map<FederatedMember, Promise<readonly IndexedTool[]>>>();
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #sliceMs: number;

  /** @param sliceMs how long reading may hold up others at once. */
  constructor(clock: Pick<Clock, 'monotonic'>, sliceMs: number) {
    this.#clock = clock;
    this.#sliceMs = sliceMs;
  }

  /** @param judge says which entries are sound; what else it thinks does not matter here. */
  of(
    federation: Federation,
    member: FederatedMember,
    tools: MemberToolList,
    { list, judge }: { readonly list: ListRule; readonly judge: EntryJudge },
  ): Promise<readonly IndexedTool[]> {
    const ofList = this.#indexed.get(tools) ?? new Map<FederatedMember, Promise<readonly IndexedTool[]>>();
    const known = ofList.get(member);
    if (known) return known;
    const open: EntryJudge = { ...judge, allowed: () => true, owns: () => true, shows: () => true };
    const slice = new TimeSlice(this.#clock, this.#sliceMs);
    slice.begin();
    const indexed = slice.run(
      indexSteps(federation, member, (page) => presentedEntries(federation, { ...page, member }, list, open), tools),
    );
    this.#indexed.set(tools, ofList.set(member, indexed));
    return indexed;
  }
}

function* indexSteps(
  federation: Federation,
  member: FederatedMember,
  entriesOf: (page: MemberToolList['pages'][number]) => readonly Buffer[],
  tools: MemberToolList,
): Generator<undefined, readonly IndexedTool[], void> {
  const indexed: IndexedTool[] = [];
  for (const page of tools.pages) {
    for (const entry of entriesOf(page)) {
      indexed.push(...indexedTool(federation, member, entry));
      yield;
    }
  }
  return indexed;
}

function indexedTool(federation: Federation, member: FederatedMember, entry: Buffer): readonly IndexedTool[] {
  const tool = searchedTool(JSON.parse(entry.toString('utf8')) as Readonly<Record<string, unknown>>);
  const found = resolveName(federation, 'tools', tool.name).find((one) => one.member === member);
  if (!found) return [];
  const { title, description } = tool;
  return [{ member, own: found.name, title, description, document: toolDocument(tool) }];
}

function searchedTool({ name, title, description, inputSchema }: Readonly<Record<string, unknown>>): SearchedTool {
  const properties = (inputSchema as { readonly properties?: unknown } | undefined)?.properties;
  const isObject = typeof properties === 'object' && properties !== null;
  return {
    ...{ name: textOf(name), title: textOf(title), description: textOf(description) },
    parameters: isObject ? Object.keys(properties) : [],
  };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
