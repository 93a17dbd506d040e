import type { FamilyType, ResourceFamily } from './family.ts';

/** The types of a family in the order of a round. */
export interface SendOrder {
  /** Types that carry data, in family order. */
  readonly data: readonly string[];
  /** Types that close a round; if there is none, a round ends with the last answer. */
  readonly closing: ReadonlySet<string>;
  /** Types that remove late, those first that refer to others. */
  readonly late: readonly string[];
  readonly types: ReadonlyMap<string, FamilyType>;
  /** Types by the one that they have to follow: see `FamilyType.followedBy`. */
  readonly leaders: ReadonlyMap<string, string>;
  readonly appliedWith: readonly string[];
  /** All types, what closes a round last. */
  readonly inOrder: readonly string[];
  /** Rounds are closed by a type, and nothing else waits for answers. */
  readonly sendsAhead: boolean;
}

export function sendOrderOf({ types, appliedWith = [] }: ResourceFamily): SendOrder {
  const data = types.filter((type) => !type.closesRound).map((type) => type.typeUrl);
  const closing = types.filter((type) => type.closesRound).map((type) => type.typeUrl);
  return {
    data,
    closing: new Set(closing),
    inOrder: [...data, ...closing],
    sendsAhead: closing.length > 0 && types.every(({ awaitsEarlier, removesLate }) => !awaitsEarlier && !removesLate),
    late: types
      .filter((type) => type.removesLate)
      .map((type) => type.typeUrl)
      .toReversed(),
    types: new Map(types.map((type) => [type.typeUrl, type])),
    leaders: new Map(types.flatMap(({ typeUrl, followedBy }) => (followedBy ? [[followedBy, typeUrl]] : []))),
    appliedWith,
  };
}
