import { parse as parseYaml } from 'yaml';
import { type Reading, readingOf } from './reading.ts';

/** Somebody behind the gateway who reads a message in his own way. */
export interface Parser {
  readonly name: string;
  /** What each text says, in their order; undefined for one that it refuses. An array of messages gives several. */
  read(texts: readonly Buffer[]): Promise<readonly (readonly Reading[] | undefined)[]>;
}

/** As most servers do: of repeated keys the last one counts. */
export const v8: Parser = each('JSON.parse', (text) => JSON.parse(text) as unknown);

/**
 * JSON is YAML, read here by code that has nothing in common with the other. A carriage return alone, which JSON has as a
 * blank, is not read as one by it: a space stands in its place.
 */
export const yaml: Parser = each(
  'yaml',
  (text) =>
    parseYaml(text.replaceAll(/\r(?!\n)/g, ' '), {
      schema: 'json',
      uniqueKeys: false,
      logLevel: 'silent',
      strict: false,
      maxAliasCount: 0,
    }) as unknown,
);

function each(name: string, parse: (text: string) => unknown): Parser {
  return { name, read: async (texts) => texts.map((text) => readingsOf(parse, text)) };
}

function readingsOf(parse: (text: string) => unknown, text: Buffer): readonly Reading[] | undefined {
  try {
    return readingsOfValue(parse(text.toString('utf8')));
  } catch {
    return undefined;
  }
}

/** Undefined for what is neither a message nor an array of messages. */
export function readingsOfValue(value: unknown): readonly Reading[] | undefined {
  const readings = (Array.isArray(value) ? (value as unknown[]) : [value]).map(readingOf);
  return readings.some((reading) => reading === undefined) ? undefined : (readings as readonly Reading[]);
}
