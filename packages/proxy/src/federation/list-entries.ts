import {
  type FederatedMember,
  type Federation,
  presentedName,
  resolveName,
  type McpSubject,
  unwrapUri,
  wrapUri,
} from '@signalbox/config';
import { arrayElements, memberValue, stringValue } from '../json/members.ts';
import type { Span } from '../json/message.ts';
import { listedSubject, type OwnSubject } from '../mcp/authorization.ts';
import type { ListRule } from '../mcp/codec/codec.ts';
import { type Edit, splice, withoutMember } from '../mcp/splice.ts';
import { uiEdits } from './result-uris.ts';

/** One page of a member's list. */
export interface MemberPage {
  readonly member: FederatedMember;
  readonly bytes: Buffer;
  readonly result: Span;
}

/** What decides about entries of a list. */
export interface EntryJudge {
  allowed(subject: McpSubject, own: OwnSubject): boolean;
  /** Whether nothing is wrong about an entry itself. */
  isSound(member: FederatedMember, name: string, bytes: Buffer, element: Span): boolean;
  /** Whether a tool or prompt is in this list at all, by its presented name. */
  shows(presented: string): boolean;
  /** Whether a name that several members may have is this member's. */
  owns(member: FederatedMember, presented: string): boolean;
  /** An entry is left out because its name, with its prefix, is too long. */
  tooLong(member: FederatedMember, name: string): void;
}

/**
 * The entries of a member's page as clients see them: under their presented names and URIs, with descriptions that the
 * virtual server gives, without those that it does not present or that policy hides. What else they say stays byte for
 * byte.
 */
export function presentedEntries(
  federation: Federation,
  { member, bytes, result }: MemberPage,
  list: ListRule,
  judge: EntryJudge,
): readonly Buffer[] {
  const span = memberValue(bytes, result, list.member);
  const entries: Buffer[] = [];
  for (const element of span ? arrayElements(bytes, span) : []) {
    const key = memberValue(bytes, element, list.key);
    const own = key && stringValue(bytes, key);
    if (key === undefined || own === undefined) continue;
    const presented = present(federation, { member, list, own }, judge);
    if (presented === undefined) continue;
    if (!judge.isSound(member, own, bytes, element)) continue;
    const ownSubject = { member, subject: listedSubject(list.subject, own) };
    if (!judge.allowed(listedSubject(list.subject, presented), ownSubject)) continue;
    const edits = [
      { ...key, text: JSON.stringify(presented) },
      ...moreEdits({ member, bytes, result: element }, { list, own, key }, judge),
    ];
    const last = { start: element.end, end: bytes.length, text: '' };
    const first = { start: 0, end: element.start, text: '' };
    entries.push(splice(bytes, [first, ...edits.sort((a, b) => a.start - b.start), last]));
  }
  return entries;
}

/** The member's own names in a page, for those who need to know all of them. */
export function ownNames(bytes: Buffer, result: Span, list: ListRule): readonly string[] {
  const span = memberValue(bytes, result, list.member);
  return (span ? arrayElements(bytes, span) : []).flatMap((element) => {
    const key = memberValue(bytes, element, list.key);
    const name = key && stringValue(bytes, key);
    return name === undefined ? [] : [name];
  });
}

function present(
  federation: Federation,
  { member, list, own }: { readonly member: FederatedMember; readonly list: ListRule; readonly own: string },
  judge: EntryJudge,
): string | undefined {
  if (list.subject === 'resource') return presentUri(federation, member, own);
  const kind = list.subject === 'tool' ? 'tools' : 'prompts';
  const presented = presentedName(federation, member, kind, own);
  if (presented === undefined) {
    if (own.length + member.prefix.length + 2 > federation.maxNameLength) judge.tooLong(member, own);
    return undefined;
  }
  if (!judge.shows(presented)) return undefined;
  const owners = member.prefix === '' ? resolveName(federation, kind, presented).length : 1;
  return owners === 1 || judge.owns(member, presented) ? presented : undefined;
}

/** What would lead to another member is not shown as this one's. */
function presentUri(federation: Federation, member: FederatedMember, own: string): string | undefined {
  const presented = wrapUri(member, own);
  return unwrapUri(federation, presented)?.member === member ? presented : undefined;
}

/** Beside its name: the description, and of a tool the resource that is its user interface. */
function moreEdits(
  { member, bytes, result: entry }: MemberPage,
  { list, own, key }: { readonly list: ListRule; readonly own: string; readonly key: Span },
  judge: EntryJudge,
): Edit[] {
  const description = descriptionOf(member, list, own);
  const edits: Edit[] = [];
  if (description !== undefined) edits.push(describeEdit(bytes, entry, key, description));
  const meta = memberValue(bytes, entry, '_meta');
  const ui = meta && memberValue(bytes, meta, 'ui');
  const span = ui && memberValue(bytes, ui, 'resourceUri');
  const uri = span && stringValue(bytes, span);
  if (!meta || uri === undefined) return [...edits, ...uiEdits(bytes, entry, (text) => wrapUri(member, text))];
  const visible =
    member.presentsUri(uri) &&
    judge.allowed({ kind: 'resource', uri: wrapUri(member, uri) }, { member, subject: { kind: 'resource', uri } });
  if (visible) edits.push(...uiEdits(bytes, entry, (text) => wrapUri(member, text)));
  else edits.push(...withoutMember(bytes, meta, 'ui'));
  return edits;
}

function descriptionOf(member: FederatedMember, { subject }: ListRule, own: string): string | undefined {
  if (subject === 'resource') return undefined;
  return member[subject === 'tool' ? 'tools' : 'prompts'].descriptions.get(own);
}

function describeEdit(bytes: Buffer, entry: Span, key: Span, description: string): Edit {
  const text = JSON.stringify(description);
  const known = memberValue(bytes, entry, 'description');
  return known ? { ...known, text } : { start: key.end, end: key.end, text: `,"description":${text}` };
}
