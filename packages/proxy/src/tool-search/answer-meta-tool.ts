import { type Federation, rankTools, type ToolSearchEntry } from '@signalbox/config';
import { judgeFor, refuseForMissing } from '../federation/answer-list.ts';
import { type EntryJudge, presentedEntries } from '../federation/list-entries.ts';
import type { MemberState } from '../federation/member-leg.ts';
import type { Call } from '../mcp/call.ts';
import { listMethods, type ListRule } from '../mcp/codec/codec.ts';
import { endings } from '../mcp/errors.ts';
import type { RouteState } from '../mcp/route-state.ts';
import type { MemberToolList } from './member-tools.ts';
import type { IndexedTool } from './tool-index.ts';
import { respondWithText } from './tool-result.ts';

const list = listMethods.find(({ name }) => name === 'tools/list')?.list as ListRule;

/** Answers `find_tools` and `describe_tool`: what they tell of is what a list would show to this caller. */
export async function answerMetaTool(call: Call): Promise<void> {
  const { members, entry } = call.route as RouteState;
  const federation = entry.mcp.federation as Federation;
  const asked = await Promise.all(
    members.map(async (state) => ({ state, tools: await call.services.memberTools.of(call, state) })),
  );
  if (call.exchange.closed) call.endUnanswered(0, endings.clientGone);
  if (call.ended) return;
  const missing = asked.filter(({ tools }) => tools === undefined).map(({ state }) => state);
  if (missing.length === asked.length || (missing.length > 0 && federation.partialLists === 'fail')) {
    return refuseForMissing(
      call,
      missing.map((state) => ({ member: state.member.key, reason: 'it does not list its tools' })),
    );
  }
  const judge = await judgeFor(call, list);
  if (call.ended) return;
  const lists = asked.flatMap(({ state, tools }) => (tools ? [{ state, tools }] : []));
  const search: Search = { call, federation, lists, judge, missing };
  if (call.metaTool === 'describe_tool') describe(search);
  else await find(search);
}

interface Search {
  readonly call: Call;
  readonly federation: Federation;
  readonly lists: readonly { readonly state: MemberState; readonly tools: MemberToolList }[];
  readonly judge: EntryJudge;
  readonly missing: readonly MemberState[];
}

/** Characters of a description that search answers: the rest is for `describe_tool`. */
const summaryLength = 300;

async function find(search: Search): Promise<void> {
  const { call, federation, missing } = search;
  const { query, limit } = argumentsOf(call);
  if (query !== undefined && typeof query !== 'string')
    return respondWithText(call, 'query must be a text', { isError: true });
  const visible = await visibleTools(search);
  if (call.ended) return;
  const ranked =
    query === undefined || query.trim() === ''
      ? [...visible.keys()]
      : rankTools(
          query,
          visible.map((tool) => tool.document),
        );
  const { maxResults } = federation.toolSearch as ToolSearchEntry;
  const most = typeof limit === 'number' && limit >= 1 ? Math.min(Math.floor(limit), maxResults) : maxResults;
  const tools = ranked.slice(0, most).map((at) => summaryOf(visible[at] as IndexedTool));
  const answer = {
    ...{ tools, matches: ranked.length, total: visible.length },
    ...(missing.length > 0 && { missing: missing.map(({ member }) => member.key) }),
  };
  respondWithText(call, JSON.stringify(answer));
}

async function visibleTools({ call, federation, lists, judge }: Search): Promise<readonly IndexedTool[]> {
  const { toolIndex } = call.services;
  const indexed = await Promise.all(
    lists.map(({ state: { member }, tools }) => toolIndex.of(federation, member, tools, { list, judge })),
  );
  return indexed.flat().filter(({ member, own, document: { name } }) => {
    if (member.prefix === '' && federation.unprefixed.length > 1 && !judge.owns(member, name)) return false;
    return judge.allowed({ kind: 'tool', name }, { member, subject: { kind: 'tool', name: own } });
  });
}

function summaryOf({ document: { name }, title, description }: IndexedTool) {
  const characters = Array.from(description);
  const isLong = characters.length > summaryLength;
  return {
    name,
    ...(title !== '' && { title }),
    ...(description !== '' && {
      description: isLong ? `${characters.slice(0, summaryLength).join('')}…` : description,
    }),
  };
}

function describe(search: Search): void {
  const { call, federation, lists, judge } = search;
  const { name } = argumentsOf(call);
  if (typeof name !== 'string')
    return respondWithText(call, 'name is required: as find_tools answers it', { isError: true });
  const only: EntryJudge = { ...judge, shows: (presented) => presented === name };
  const [found] = lists.flatMap(({ state: { member }, tools }) =>
    tools.pages.flatMap((page) => presentedEntries(federation, { ...page, member }, list, only)),
  );
  if (found) return respondWithText(call, found.toString('utf8'));
  respondWithText(call, `Unknown tool: ${name}`, { isError: true });
}

function argumentsOf({ message }: Call): Readonly<Record<string, unknown>> {
  if (!message?.args) return {};
  return JSON.parse(message.bytes.toString('utf8', message.args.start, message.args.end)) as Record<string, unknown>;
}
