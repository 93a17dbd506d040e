/** A small railway for the demo: a line of stations, the trains of an hour, and the signals between them. */
export const stations = ['Eastgate', 'Mill Lane', 'Harbour', 'Old Quarry', 'Northfield'] as const;
export type Station = (typeof stations)[number];

export const aspects = ['clear', 'caution', 'danger'] as const;
export type Aspect = (typeof aspects)[number];

interface Train {
  readonly id: string;
  /** Terminus. */
  readonly to: Station;
  /** Minutes past the hour at Eastgate; each station further is four minutes later. */
  readonly minute: number;
  readonly platform: number;
}

export interface Departure {
  readonly train: string;
  readonly to: Station;
  /** `hh:mm`. */
  readonly at: string;
  readonly platform: number;
  readonly cancelled: boolean;
}

const minutesPerStation = 4;

const trains: readonly Train[] = [
  { id: 'R12', to: 'Harbour', minute: 3, platform: 1 },
  { id: 'E40', to: 'Northfield', minute: 18, platform: 2 },
  { id: 'R14', to: 'Old Quarry', minute: 33, platform: 1 },
  { id: 'E42', to: 'Northfield', minute: 48, platform: 2 },
];

/** The state that its tools read and change; it lives as long as the process. */
export class Railway {
  readonly #cancelled = new Set<string>();
  readonly #signals = new Map<string, Aspect>(stations.map((_, index) => [`S${index + 1}`, 'clear']));

  /** The next departures of a station within the hour. */
  departures(station: Station, hour: number): readonly Departure[] {
    const position = stations.indexOf(station);
    return trains
      .filter((train) => stations.indexOf(train.to) > position)
      .map((train) => ({
        train: train.id,
        to: train.to,
        at: clockTime(hour, train.minute + position * minutesPerStation),
        platform: train.platform,
        cancelled: this.#cancelled.has(train.id),
      }));
  }

  /** Where a train stops and when; undefined if there is no such train. */
  stops(id: string, hour: number): readonly { readonly station: Station; readonly at: string }[] | undefined {
    const train = trains.find((candidate) => candidate.id === id);
    if (!train) return undefined;
    return stations
      .slice(0, stations.indexOf(train.to) + 1)
      .map((station, index) => ({ station, at: clockTime(hour, train.minute + index * minutesPerStation) }));
  }

  signals(): Readonly<Record<string, Aspect>> {
    return Object.fromEntries(this.#signals);
  }

  /** @returns the aspect before, or undefined if there is no such signal. */
  setSignal(signal: string, aspect: Aspect): Aspect | undefined {
    const before = this.#signals.get(signal);
    if (before !== undefined) this.#signals.set(signal, aspect);
    return before;
  }

  /** @returns whether there is such a train. */
  cancel(id: string): boolean {
    const known = trains.some((train) => train.id === id);
    if (known) this.#cancelled.add(id);
    return known;
  }
}

function clockTime(hour: number, minute: number): string {
  const two = (value: number) => String(value).padStart(2, '0');
  return `${two((hour + Math.floor(minute / 60)) % 24)}:${two(minute % 60)}`;
}
