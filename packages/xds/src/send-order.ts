import type { ResourceFamily } from './family.ts';

/** The types of a family in the order of a round. */
export interface SendOrder {
  /** Types that carry data, in family order. */
  readonly data: readonly string[];
  /** Types that close a round. */
  readonly closing: ReadonlySet<string>;
  readonly known: ReadonlySet<string>;
}

export function sendOrderOf(family: ResourceFamily): SendOrder {
  return {
    data: family.types.filter((type) => !type.closesRound).map((type) => type.typeUrl),
    closing: new Set(family.types.filter((type) => type.closesRound).map((type) => type.typeUrl)),
    known: new Set(family.types.map((type) => type.typeUrl)),
  };
}
