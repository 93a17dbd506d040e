import { createHash } from 'node:crypto';
import { memberValue, stringValue } from '../json/members.ts';
import { askForList } from '../federation/ask-list.ts';
import type { MemberPage } from '../federation/list-entries.ts';
import type { MemberState } from '../federation/member-leg.ts';
import type { Call } from '../mcp/call.ts';
import type { ToolSearchLimits } from './limits.ts';

/** All pages of a member's tools, as the member sent them: how they are presented is another matter. */
export interface MemberToolList {
  readonly pages: readonly Omit<MemberPage, 'member'>[];
  /** Of what is in them: lists that say the same are one object, whoever asked for them. */
  readonly digest: string;
}

interface Known {
  list: MemberToolList | undefined;
  bytes: number;
  /** Monotonic time until which the list serves without being asked for again. */
  freshUntil: number;
  asking: Promise<MemberToolList | undefined> | undefined;
}

/**
 * Lists of tools that search looks through: of each member as one caller sees it, remembered until the member says that it
 * changed. Bounded by count and bytes: what was used longest ago gives way.
 */
export class MemberTools {
  readonly #limits: ToolSearchLimits;
  /** By caller, era and backend; what was used last is last. */
  readonly #known = new Map<string, Known>();
  #bytes = 0;

  constructor(limits: ToolSearchLimits) {
    this.#limits = limits;
  }

  /** A member says that its tools changed: to whichever caller it says so, it may be true for all. */
  changed(backendKey: string): void {
    for (const [key, known] of this.#known) if (key.endsWith(` ${backendKey}`)) known.freshUntil = 0;
  }

  /** Undefined if the member does not tell, now or before. */
  async of(call: Call, state: MemberState): Promise<MemberToolList | undefined> {
    const key = `${JSON.stringify(call.credential?.principal.id ?? '')} ${call.era} ${state.backend.key}`;
    const known = this.#use(key);
    const { clock } = call.services;
    if (known.list && clock.monotonic() < known.freshUntil) return known.list;
    known.asking ??= this.#ask(call, state).finally(() => (known.asking = undefined));
    const asked = await known.asking;
    if (!asked) return known.list;
    const list = this.#alike(asked);
    known.freshUntil = clock.monotonic() + this.#limits.listMs;
    this.#keep(key, known, list);
    return list;
  }

  async #ask(call: Call, state: MemberState): Promise<MemberToolList | undefined> {
    const pages: Omit<MemberPage, 'member'>[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < this.#limits.listPages; page += 1) {
      const asked = await askForList(call, state, 'tools/list', cursor);
      if (asked.kind === 'failure') return undefined;
      if (asked.kind === 'none') break;
      pages.push({ bytes: asked.bytes, result: asked.result });
      const next = memberValue(asked.bytes, asked.result, 'nextCursor');
      cursor = next && stringValue(asked.bytes, next);
      if (cursor === undefined) break;
    }
    return { pages, digest: digestOf(pages, call.era) };
  }

  /** One that says the same and is there already: what was learned of it serves. */
  #alike(list: MemberToolList): MemberToolList {
    for (const { list: other } of this.#known.values()) if (other?.digest === list.digest) return other;
    return list;
  }

  #use(key: string): Known {
    const known = this.#known.get(key) ?? { list: undefined, bytes: 0, freshUntil: 0, asking: undefined };
    this.#known.delete(key);
    this.#known.set(key, known);
    this.#makeRoom(key);
    return known;
  }

  #keep(key: string, known: Known, list: MemberToolList): void {
    if (this.#known.get(key) !== known) return;
    const bytes = list.pages.reduce((sum, page) => sum + page.bytes.length, 0);
    this.#bytes += bytes - known.bytes;
    Object.assign(known, { list, bytes });
    this.#makeRoom(key);
  }

  /** @param kept is in use. */
  #makeRoom(kept: string): void {
    for (const [key, { bytes }] of this.#known) {
      if (this.#known.size <= this.#limits.lists && this.#bytes <= this.#limits.listBytes) return;
      if (key === kept) continue;
      this.#known.delete(key);
      this.#bytes -= bytes;
    }
  }
}

/** What is sound depends on the era that a list was asked for in. */
function digestOf(pages: MemberToolList['pages'], era: string): string {
  const hash = createHash('sha256').update(`${era}\n`);
  for (const { bytes, result } of pages) hash.update(bytes.subarray(result.start, result.end)).update('\n');
  return hash.digest('base64url');
}
