import type { JsonValue } from '@bufbuild/protobuf';
import { type Document, isAlias, isMap, isScalar, isSeq, type Node } from 'yaml';
import type { ProblemCode } from '../problem.ts';
import { childPath } from '../resources/json-shape.ts';
import { expandVariables, type VariableSource } from './variables.ts';

/** Values of one document, counted where aliases repeat them. */
const maxValues = 1_000_000;
/** Deepest nesting of a document: what holds a value, one in another. */
export const maxDepth = 64;
/** What is wrong with more. */
export const tooDeep = `is nested more than ${maxDepth} levels deep`;
/** References to anchors in one document. */
const maxAliases = 100;

/** Takes a fault at a field: its code, path and message. */
export type Report = (code: ProblemCode, field: string, message: string) => void;

/** The JSON value of a YAML document, with variables expanded. What JSON cannot say is reported and left out. */
export function toJsonValue(document: Document.Parsed, variables: VariableSource, report: Report): JsonValue {
  return new Reader(document, variables, report).read(document.contents, '', 0);
}

class Reader {
  readonly #document: Document.Parsed;
  readonly #variables: VariableSource;
  readonly #report: Report;
  #values = 0;
  #aliases = 0;
  #stopped = false;

  constructor(document: Document.Parsed, variables: VariableSource, report: Report) {
    this.#document = document;
    this.#variables = variables;
    this.#report = report;
  }

  read(node: Node | null, field: string, depth: number): JsonValue {
    this.#values += 1;
    if (this.#values > maxValues) this.#stop(`has more than ${maxValues} values`);
    if (depth > maxDepth) this.#stop(tooDeep);
    if (this.#stopped) return null;
    if (isAlias(node)) {
      this.#aliases += 1;
      if (this.#aliases > maxAliases) this.#stop(`has more than ${maxAliases} aliases`);
      const target = this.#stopped ? undefined : node.resolve(this.#document);
      return target === undefined ? null : this.read(target, field, depth + 1);
    }
    if (isMap(node)) return this.#mapping(node.items, field, depth);
    if (isSeq(node)) {
      return node.items.map((item, at) => this.read(item as Node | null, `${field}[${at}]`, depth + 1));
    }
    return isScalar(node) ? this.#scalar(node.value, field) : null;
  }

  #mapping(
    items: readonly { readonly key: unknown; readonly value: unknown }[],
    field: string,
    depth: number,
  ): JsonValue {
    const entries: [string, JsonValue][] = [];
    for (const { key, value } of items) {
      const name = isScalar(key) ? key.value : undefined;
      if (typeof name !== 'string') {
        this.#report('syntax', field, 'has a key that is not a string; put it in quotes');
      } else if (name === '__proto__') {
        this.#report('syntax', field, 'has a key __proto__, which is not allowed');
      } else {
        const path = field === '' ? childPath('', name).replace(/^\./, '') : childPath(field, name);
        entries.push([name, this.read(value as Node | null, path, depth + 1)]);
      }
    }
    return Object.fromEntries(entries);
  }

  #scalar(value: unknown, field: string): JsonValue {
    if (typeof value === 'string') {
      return expandVariables(value, this.#variables, (code, message) => this.#report(code, field, message));
    }
    if (value === null || typeof value === 'boolean') return value;
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    this.#report('invalid-value', field, 'is not a value that JSON has: use a string, a finite number, true or false');
    return null;
  }

  #stop(message: string): void {
    if (!this.#stopped) this.#report('limit-exceeded', '', message);
    this.#stopped = true;
  }
}
