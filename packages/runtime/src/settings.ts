import { Secret } from './secret.ts';

/** One `SIGNALBOX_*` variable: declared once, with unit, default and meaning. */
export interface Setting<T> {
  /** Environment variable. */
  readonly name: string;
  /** Unit or form of the value, for people: `bytes`, `ms`, `host:port`. */
  readonly unit: string;
  /** Default, as it would be written in the environment; undefined if the variable must be given. */
  readonly fallback: string | undefined;
  /** What it does, in a sentence or two. */
  readonly doc: string;
  /** Value or, for an unusable text, the reason. */
  parse(text: string): { value: T } | { problem: string };
}

export type Settings<D extends Record<string, Setting<unknown>>> = {
  readonly [K in keyof D]: D[K] extends Setting<infer T> ? T : never;
};

interface Declared {
  readonly name: string;
  /** Omit to make the variable required. */
  readonly fallback?: string;
  readonly doc: string;
}

/** Free text; empty is allowed. */
export function text(declared: Declared, unit = 'text'): Setting<string> {
  return { ...declared, unit, fallback: declared.fallback, parse: (value) => ({ value }) };
}

/** A credential. It never appears in logs, dumps or errors. Empty means none. */
export function secret(declared: Declared): Setting<Secret | undefined> {
  return {
    ...declared,
    unit: 'secret',
    fallback: declared.fallback ?? '',
    parse: (value) => ({ value: value === '' ? undefined : new Secret(value) }),
  };
}

/** An integer in [min, max] of the unit named. */
export function integer(declared: Declared & { unit: string; min: number; max: number }): Setting<number> {
  const { min, max, unit } = declared;
  return {
    name: declared.name,
    doc: declared.doc,
    unit,
    fallback: declared.fallback,
    parse: (value) => {
      const number = Number(value);
      if (!/^-?\d+$/.test(value) || number < min || number > max) {
        return { problem: `expected an integer from ${min} to ${max} (${unit}), got "${value}"` };
      }
      return { value: number };
    },
  };
}

/** `true` or `false`. */
export function flag(declared: Declared): Setting<boolean> {
  return {
    ...declared,
    unit: 'true|false',
    fallback: declared.fallback,
    parse: (value) =>
      value === 'true' || value === 'false'
        ? { value: value === 'true' }
        : { problem: `expected true or false, got "${value}"` },
  };
}

/** One of a few words. */
export function choice<const T extends string>(declared: Declared & { options: readonly T[] }): Setting<T> {
  const { options } = declared;
  return {
    name: declared.name,
    doc: declared.doc,
    unit: options.join('|'),
    fallback: declared.fallback,
    parse: (value) => {
      const found = options.find((option) => option === value);
      return found === undefined
        ? { problem: `expected one of ${options.join(', ')}, got "${value}"` }
        : { value: found };
    },
  };
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** `host:port`; an IPv6 host stands in brackets; port 0 lets the system choose. Empty means none. */
export function hostPort(declared: Declared): Setting<HostPort | undefined> {
  return {
    ...declared,
    unit: 'host:port',
    fallback: declared.fallback,
    parse: (value) => {
      if (value === '') return { value: undefined };
      const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(value);
      const port = Number(match?.[3]);
      if (!match || port > 65_535) return { problem: `expected host:port, got "${value}"` };
      return { value: { host: match[1] ?? match[2] ?? '', port } };
    },
  };
}

/** Some settings cannot be used; the message lists every one with its reason. */
export class SettingsError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`settings cannot be used:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'SettingsError';
    this.problems = problems;
  }
}

/**
 * Reads the declared variables from an environment.
 * @throws SettingsError naming every variable that is missing or unusable.
 */
export function readSettings<D extends Record<string, Setting<unknown>>>(
  declarations: D,
  environment: Readonly<Record<string, string | undefined>>,
): Settings<D> {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [key, setting] of Object.entries(declarations)) {
    const given = environment[setting.name] ?? setting.fallback;
    if (given === undefined) {
      problems.push(`${setting.name} is required (${setting.unit}): ${setting.doc}`);
      continue;
    }
    const parsed = setting.parse(given);
    if ('problem' in parsed) problems.push(`${setting.name}: ${parsed.problem}`);
    else values[key] = parsed.value;
  }
  if (problems.length > 0) throw new SettingsError(problems);
  return Object.freeze(values) as Settings<D>;
}
