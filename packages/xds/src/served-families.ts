import type { AdsStream } from './ads-stream.ts';
import type { CollectionSource } from './family.ts';
import { ServedFamily, type ServedFamilyOptions } from './served-family.ts';

/** What a grant says about where its stream reads. */
interface Place {
  readonly family: string;
  readonly source?: CollectionSource;
}

interface OwnFamily {
  readonly served: ServedFamily;
  streams: number;
}

/** The families of a server: each with the source that all read, and with those of credentials that have one of their own. */
export class ServedFamilies {
  readonly #families: ReadonlyMap<string, ServedFamily>;
  readonly #own = new Map<CollectionSource, OwnFamily>();
  readonly #onBehind: (streams: ReadonlySet<AdsStream>) => void;

  constructor(families: readonly ServedFamilyOptions[], onBehind: (streams: ReadonlySet<AdsStream>) => void) {
    this.#onBehind = onBehind;
    this.#families = new Map(families.map((each) => [each.family.name, new ServedFamily(each, onBehind)]));
  }

  get ready(): boolean {
    return [...this.#families.values()].every((family) => family.ready);
  }

  /** Where a stream reads; to be left when it ends. Undefined: the family is not served here. */
  enter({ family: name, source }: Place): ServedFamily | undefined {
    const common = this.#families.get(name);
    if (!common || !source) return common;
    const known = this.#own.get(source) ?? {
      served: new ServedFamily({ family: common.family, source }, this.#onBehind),
      streams: 0,
    };
    known.streams += 1;
    this.#own.set(source, known);
    return known.served;
  }

  /** A source of its own that nobody reads any more is followed no longer. */
  leave({ source }: Place): void {
    const own = source && this.#own.get(source);
    if (!own) return;
    own.streams -= 1;
    if (own.streams > 0) return;
    own.served.stop();
    this.#own.delete(source);
  }

  stop(): void {
    for (const family of this.#families.values()) family.stop();
    for (const { served } of this.#own.values()) served.stop();
  }
}
