import type { FederatedMember, Federation, MemberName, NameKind } from '@signalbox/config';
import { memberValue, stringValue } from '../json/members.ts';
import type { Call } from '../mcp/call.ts';
import { listMethods } from '../mcp/codec/codec.ts';
import { askForList } from './ask-list.ts';
import type { ChangeKind } from './change-debounce.ts';
import { ownNames } from './list-entries.ts';
import type { MemberState } from './member-leg.ts';

interface Known {
  names: ReadonlySet<string> | undefined;
  /** Monotonic time until which the names serve without being asked for again. */
  freshUntil: number;
  asking: Promise<ReadonlySet<string> | undefined> | undefined;
}

/**
 * Which names members without prefix have, where several of them may have the same: learned from their lists, and
 * remembered until they say that these changed. Bounded: the backend that was asked first gives way.
 */
export class MemberNames {
  readonly #maxBackends: number;
  readonly #maxNames: number;
  readonly #known = new Map<string, Known>();

  constructor(maxBackends: number, maxNames: number) {
    this.#maxBackends = maxBackends;
    this.#maxNames = maxNames;
  }

  /** A member says that a list of its changed. */
  changed(backendKey: string, kind: ChangeKind): void {
    const known = this.#known.get(`${kind} ${backendKey}`);
    if (known) known.freshUntil = 0;
  }

  /**
   * The member's own names; those from before when it does not answer now. Undefined when nothing is known: it may have
   * any name then.
   */
  async of(call: Call, state: MemberState, kind: NameKind): Promise<ReadonlySet<string> | undefined> {
    const { clock, limits } = call.services;
    const known = this.#entry(`${kind} ${state.backend.key}`);
    if (known.names && clock.monotonic() < known.freshUntil) return known.names;
    known.asking ??= this.#ask(call, state, kind).finally(() => (known.asking = undefined));
    const names = await known.asking;
    if (!names) return known.names;
    known.names = names;
    known.freshUntil = clock.monotonic() + limits.federation.namesMs;
    return names;
  }

  async #ask(call: Call, state: MemberState, kind: NameKind): Promise<ReadonlySet<string> | undefined> {
    const rule = listMethods.find(({ name }) => name === `${kind}/list`);
    const names = new Set<string>();
    if (!rule?.list) return names;
    let cursor: string | undefined;
    for (let page = 0; page < call.services.limits.federation.namesPages; page += 1) {
      const asked = await askForList(call, state, rule.name, cursor);
      if (asked.kind === 'failure') return undefined;
      if (asked.kind === 'none') return names;
      for (const name of ownNames(asked.bytes, asked.result, rule.list)) {
        if (names.size < this.#maxNames) names.add(name);
      }
      const next = memberValue(asked.bytes, asked.result, 'nextCursor');
      cursor = next && stringValue(asked.bytes, next);
      if (cursor === undefined) break;
    }
    return names;
  }

  #entry(key: string): Known {
    const known = this.#known.get(key);
    if (known) return known;
    const oldest = this.#known.keys().next();
    if (this.#known.size >= this.#maxBackends && !oldest.done) this.#known.delete(oldest.value);
    const added: Known = { names: undefined, freshUntil: 0, asking: undefined };
    this.#known.set(key, added);
    return added;
  }
}

/** Whose a name is: a member's, nobody's, or not to be known because a member that may have it does not answer. */
export type Ownership = MemberName | 'nobody' | 'unknown';

/** Decides among members that may have a name, by what their lists hold and by how the virtual server settles conflicts. */
export function ownerAmong(
  { conflicts }: Federation,
  candidates: readonly MemberName[],
  namesOf: (member: FederatedMember) => ReadonlySet<string> | undefined,
): Ownership {
  let owner: MemberName | undefined;
  for (const candidate of candidates) {
    const names = namesOf(candidate.member);
    // The first one that has it counts; one before it that may have it leaves it open.
    if (names === undefined) return 'unknown';
    if (!names.has(candidate.name)) continue;
    if (conflicts === 'priority') return candidate;
    if (owner) return 'nobody';
    owner = candidate;
  }
  return owner ?? 'nobody';
}
