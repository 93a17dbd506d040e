import { type FederatedMember, type Federation, metaTools, type NameKind, resolveName } from '@signalbox/config';
import { memberValue, stringValue } from '../json/members.ts';
import type { Span } from '../json/message.ts';
import { decideOfMember, type Standing } from '../mcp/authorization.ts';
import { type Call, jsonHeaders } from '../mcp/call.ts';
import type { ListRule } from '../mcp/codec/codec.ts';
import { codes, refusals } from '../mcp/errors.ts';
import type { RouteState } from '../mcp/route-state.ts';
import type { Credential } from '../session/credential.ts';
import { type AskedList, askForList } from './ask-list.ts';
import { federatedSession } from './legs.ts';
import { isSoundTool } from '../mcp/inspect-result.ts';
import { type EntryJudge, presentedEntries } from './list-entries.ts';
import type { MemberState } from './member-leg.ts';
import { ownerAmong } from './member-names.ts';

/**
 * Answers a list of a federation: the first pages of all members together, in the order of members, then the next pages of
 * those that have more, and so on. A cursor says where each of these is; nothing is fetched ahead.
 */
export async function answerList(call: Call, list: ListRule): Promise<void> {
  const { toolSearch } = (call.route as RouteState).entry.mcp.federation as Federation;
  const searched = list.member === 'tools' ? toolSearch : null;
  // Nothing that members have would be in the list: they need not be asked.
  if (searched?.pins === false)
    return void call.respond(200, jsonHeaders, listAnswer(call, list, { entries: ownTools, more: [], ttlMs: 0 }));
  const positions = positionsOf(call);
  if (!positions) return call.refuse(refusals.invalidParams, { message: staleCursor });
  const asked = await Promise.all(
    positions.map(async ({ state, cursor }) => ({
      state,
      cursor,
      page: await askForList(call, state, call.method, cursor),
    })),
  );
  if (call.ended) return;
  if (asked.some(({ cursor, page }) => cursor !== undefined && isInvalidCursor(page))) {
    return call.refuse(refusals.invalidParams, { message: staleCursor });
  }
  const missing = asked.filter(({ page }) => page.kind === 'failure').map(({ state }) => state);
  noteMissing(call, missing, asked);
  const federation = call.route?.entry.mcp.federation as Federation;
  if (missing.length === asked.length || (missing.length > 0 && federation.partialLists === 'fail')) {
    return refuseForMissing(call, failuresOf(asked));
  }
  const judge = await judgeFor(call, list);
  if (call.ended) return;
  const shown = searched ? { ...judge, shows: searched.isPinned } : judge;
  const own = searched && asked.every(({ cursor }) => cursor === undefined) ? ownTools : none;
  call.respond(200, jsonHeaders, mergedAnswer(call, list, { federation, asked, judge: shown, missing, own }));
}

/** What the gateway lists first where tools are found by search. They are its own: no rule is about them. */
const ownTools = metaTools.map((tool) => Buffer.from(JSON.stringify(tool)));
const none: readonly Buffer[] = [];
const staleCursor = 'The cursor is unknown, or the configuration has changed since; list again from the start';

interface AskedPage {
  readonly state: MemberState;
  readonly cursor: string | undefined;
  readonly page: AskedList;
}

/** Which members are asked, and where each goes on. Undefined for a cursor that is not of this walk. */
function positionsOf(call: Call): readonly { state: MemberState; cursor: string | undefined }[] | undefined {
  const { members } = call.route as RouteState;
  const cursor = cursorOf(call);
  if (cursor === undefined || cursor === '') return members.map((state) => ({ state, cursor: undefined }));
  const walk = call.services.listCursors.open(cursor, walkOf(call));
  return (
    walk &&
    members.filter(({ member }) => walk.has(member.key)).map((state) => ({ state, cursor: walk.get(state.member.key) }))
  );
}

function cursorOf({ message }: Call): string | undefined {
  const span = message?.params && memberValue(message.bytes, message.params, 'cursor');
  if (!message || !span) return undefined;
  // Anything but a text is no cursor of ours.
  return stringValue(message.bytes, span) ?? 'none';
}

function walkOf(call: Call) {
  const route = (call.route as RouteState).entry.digest;
  return { method: call.method, route, principal: (call.credential as Credential).principal.id };
}

function isInvalidCursor(page: AskedList): boolean {
  return page.kind === 'failure' && page.code === codes.invalidParams;
}

/** A client that was shown part of a list hears of it when the rest is back. */
function noteMissing(call: Call, missing: readonly MemberState[], asked: readonly AskedPage[]): void {
  if (call.era !== 'legacy') return;
  const session = federatedSession(call);
  for (const { state } of asked) session.answered(state, !missing.includes(state));
}

interface MissingMember {
  readonly member: string;
  readonly reason: string;
}

function failuresOf(asked: readonly AskedPage[]): readonly MissingMember[] {
  return asked.flatMap(({ state, page }) =>
    page.kind === 'failure' ? [{ member: state.member.key, reason: page.reason }] : [],
  );
}

/** Refuses to answer what some members have not told their part of. */
export function refuseForMissing(call: Call, members: readonly MissingMember[]): void {
  call.refuse(refusals.membersMissing, { data: { members } });
}

/** What decides about entries of lists for a call. */
export async function judgeFor(call: Call, list: ListRule): Promise<EntryJudge> {
  const route = call.route as RouteState;
  const federation = route.entry.mcp.federation as Federation;
  const standing: Standing = { route, credential: call.credential as Credential };
  const kind: NameKind = list.subject === 'prompt' ? 'prompts' : 'tools';
  const names = await namesOfRivals(call, federation, list.subject === 'resource' ? undefined : kind);
  return {
    allowed: (subject, own) => decideOfMember(call, standing, subject, own).allowed,
    isSound: (member, name, bytes, element) =>
      isSoundTool(call, list, { backend: member.backend, name, bytes, element }),
    shows: () => true,
    owns: (member, presented) => {
      const candidates = resolveName(federation, kind, presented);
      const owner = ownerAmong(federation, candidates, ({ key }) => names.get(key));
      return typeof owner !== 'string' && owner.member === member;
    },
    tooLong: (member, name) => call.services.hiddenNames.tooLong(member.backend, name, federation.maxNameLength),
  };
}

/** All names of the members that may have the same ones; with one such member there is nothing to know. */
async function namesOfRivals(
  call: Call,
  { unprefixed }: Federation,
  kind: NameKind | undefined,
): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  if (kind === undefined || unprefixed.length < 2) return new Map();
  const { members } = call.route as RouteState;
  const known = await Promise.all(
    unprefixed.map(async (member) => {
      const names = await call.services.memberNames.of(call, members[member.position] as MemberState, kind);
      // What a member that does not answer may have is left to the others: they are all that there is to show.
      return [member.key, names ?? noNames] as const;
    }),
  );
  return new Map(known);
}

const noNames: ReadonlySet<string> = new Set();

interface Merge {
  readonly federation: Federation;
  readonly asked: readonly AskedPage[];
  readonly judge: EntryJudge;
  readonly missing: readonly MemberState[];
  /** Entries of the gateway's own, before those of members. */
  readonly own: readonly Buffer[];
}

function mergedAnswer(call: Call, list: ListRule, { federation, asked, judge, missing, own }: Merge): Buffer {
  const entries: Buffer[] = [...own];
  const next = new Map<string, string>();
  let ttlMs = Number.POSITIVE_INFINITY;
  for (const { state, page } of asked) {
    if (page.kind !== 'page') continue;
    const { bytes, result } = page;
    entries.push(...presentedEntries(federation, { member: state.member, bytes, result }, list, judge));
    const cursor = nextCursor(call, state.member, bytes, result);
    if (cursor !== undefined) next.set(state.member.key, cursor);
    ttlMs = Math.min(ttlMs, ttlOf(bytes, result));
  }
  const more = [
    ...(next.size === 0
      ? []
      : [`"nextCursor":${JSON.stringify(call.services.listCursors.seal({ ...walkOf(call), members: next }))}`]),
    ...(missing.length === 0
      ? []
      : [`"_meta":${JSON.stringify({ [missingKey]: missing.map(({ member }) => member.key) })}`]),
  ];
  return listAnswer(call, list, { entries, more, ttlMs: Number.isFinite(ttlMs) ? ttlMs : 0 });
}

interface ListParts {
  readonly entries: readonly Buffer[];
  /** Members of the result, as raw JSON. */
  readonly more: readonly string[];
  /** How long it is fresh, for clients of the modern era. */
  readonly ttlMs: number;
}

function listAnswer(call: Call, list: ListRule, { entries, more, ttlMs }: ListParts): Buffer {
  // What is left of a list is for this caller alone (MCP 2026-07-28, caching).
  const caching = call.era === 'modern' ? [`"resultType":"complete","ttlMs":${ttlMs},"cacheScope":"private"`] : [];
  const tail = [...more, ...caching];
  const head = `{"jsonrpc":"2.0","id":${call.clientId},"result":{"${list.member}":[`;
  return Buffer.concat([
    Buffer.from(head),
    ...joined(entries),
    Buffer.from(`]${tail.map((part) => `,${part}`).join('')}}}`),
  ]);
}

/** Names, in a list that is not whole, the members that are missing from it. */
const missingKey = 'dev.signalbox/missing';

function nextCursor(call: Call, member: FederatedMember, bytes: Buffer, result: Span): string | undefined {
  const span = memberValue(bytes, result, 'nextCursor');
  const cursor = span && stringValue(bytes, span);
  if (cursor === undefined || cursor.length <= call.services.limits.federation.cursorLength) return cursor;
  call.services.logger.warn('a cursor of a member is too long: its list is cut off', { member: member.key });
  return undefined;
}

function ttlOf(bytes: Buffer, result: Span): number {
  const span = memberValue(bytes, result, 'ttlMs');
  const ttl = span ? Number(bytes.toString('latin1', span.start, span.end)) : 0;
  return Number.isInteger(ttl) && ttl >= 0 ? ttl : 0;
}

function joined(entries: readonly Buffer[]): Buffer[] {
  return entries.flatMap((entry, at) => (at === 0 ? [entry] : [comma, entry]));
}

const comma = Buffer.from(',');
