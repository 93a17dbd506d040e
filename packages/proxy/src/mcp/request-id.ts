import type { McpSubject } from '@signalbox/config';
import type { Random } from '@signalbox/runtime';
import type { Span } from '../json/message.ts';

/** What a minted id says. */
export interface MintedId {
  /** Raw JSON of the client's id. */
  readonly clientId: string;
  /** What the request was about; undefined when policy did not ask. */
  readonly subject: McpSubject | undefined;
}

/**
 * Mints the ids that requests have on the upstream leg, as JSON string tokens. A client's own id is never used there:
 * clients repeat ids, and several of them may share one upstream.
 *
 * A minted id carries the client's id and what the request is about. An answer that comes much later, replayed on a GET
 * stream and perhaps through another node, is given back under the id that its client waits for, and only if policy
 * still allows it.
 */
export class RequestIds {
  /** Differs between processes, so that no two nodes mint the same id. */
  readonly #prefix: string;
  #count = 0;
  readonly #names = new Map<string, string>();

  constructor(random: Random) {
    this.#prefix = `"${marker}${random.bytes(6).toString('base64url')}.`;
  }

  /**
   * @param id where the client's id stands in `bytes`, as raw JSON.
   * @returns raw JSON: quotes included, ASCII.
   */
  mint(bytes: Buffer, id: Span, subject: McpSubject | undefined): string {
    this.#count += 1;
    const about = subject === undefined ? '' : `.${kindLetters[subject.kind]}${this.#encoded(nameOf(subject))}`;
    return `${this.#prefix}${this.#count.toString(36)}.${bytes.toString('base64url', id.start, id.end)}${about}"`;
  }

  /** The same few names come again and again. */
  #encoded(name: string): string {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    const encoded = Buffer.from(name, 'utf8').toString('base64url');
    if (this.#names.size >= maxNames) this.#names.clear();
    if (name.length <= maxNameLength) this.#names.set(name, encoded);
    return encoded;
  }
}

/** What every minted id starts with, for a quick look whether there can be one. */
export const mintedMarker = '"sb.';

/** What a minted id says; undefined if `id`, as raw JSON, was not minted by a gateway. */
export function readMintedId(id: string): MintedId | undefined {
  const [, encoded, letter, name] = minted.exec(id) ?? [];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64url').toString('utf8');
  if (!clientId.test(text)) return undefined;
  return { clientId: text, subject: subjectOf(letter, Buffer.from(name ?? '', 'base64url').toString('utf8')) };
}

const marker = 'sb.';
const minted = /^"sb\.[\w-]{8}\.[0-9a-z]+\.([\w-]+)(?:\.([tpr])([\w-]*))?"$/;
const clientId = /^(?:-?\d+|"[^\n\r]*")$/;
const kindLetters = { tool: 't', prompt: 'p', resource: 'r' } as const;
const maxNames = 1_000;
const maxNameLength = 256;

function nameOf(subject: McpSubject): string {
  return subject.kind === 'resource' ? subject.uri : subject.name;
}

function subjectOf(letter: string | undefined, name: string): McpSubject | undefined {
  if (letter === 't') return { kind: 'tool', name };
  if (letter === 'p') return { kind: 'prompt', name };
  if (letter === 'r') return { kind: 'resource', uri: name };
  return undefined;
}
