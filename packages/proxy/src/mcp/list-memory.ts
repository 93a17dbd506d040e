import type { McpRouteEntry, Principal } from '@signalbox/config';
import { memberValue } from '../json/members.ts';
import type { Span } from '../json/message.ts';
import type { Standing } from './authorization.ts';
import type { Call } from './call.ts';
import { type Edit, splice } from './splice.ts';

/** A message without its id: what stands before and behind it. */
interface AroundId {
  readonly before: Buffer;
  readonly behind: Buffer;
}

/** A list as its server said it, and what a caller saw of it. Never changed. */
interface RememberedList {
  readonly entry: McpRouteEntry;
  readonly principal: Principal;
  readonly said: AroundId;
  readonly shown: AroundId;
  readonly bytes: number;
}

/** Who asks, and by which rules it is decided what is shown. */
interface Asked {
  readonly call: Call;
  readonly standing: Standing;
}

/**
 * What callers saw of lists, so that a list which its server says again, byte for byte, is neither read nor decided about
 * again. Servers are asked all the same: nothing is shown that they did not just say, and nothing by rules that have
 * changed since.
 *
 * Remembered is what depends on nothing else than the list, the rules, and who asks on which host and path, in which
 * revision: not where rules read the time or the session, nor pages behind the first. Bounded in bytes; what was used
 * last stays.
 */
export class ListMemory {
  readonly #maxBytes: number;
  readonly #lists = new Map<string, RememberedList>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** What the answer to a list call is compared with; undefined when nothing is remembered. */
  expect(call: Call, standing: Standing, upstreamId: string): ExpectedList | undefined {
    const key = keyOf(call, standing);
    const known = key === undefined ? undefined : this.#lists.get(key);
    if (key === undefined || !known || !isFor(known, standing)) return undefined;
    this.#lists.delete(key);
    this.#lists.set(key, known);
    return new ExpectedList(known, upstreamId);
  }

  /** @param edits what makes a caller's view of the answer, without the id; in order. */
  remember({ call, standing }: Asked, said: Buffer, id: Span, edits: readonly Edit[]): void {
    const key = keyOf(call, standing);
    if (key === undefined) return;
    this.#forget(key);
    const before = Buffer.from(said.subarray(0, id.start));
    const behind = Buffer.from(said.subarray(id.end));
    const list: RememberedList = {
      ...{ entry: standing.route.entry, principal: standing.credential.principal },
      said: { before, behind },
      shown: {
        before: splice(
          before,
          edits.filter(({ end }) => end <= id.start),
        ),
        behind: splice(
          behind,
          edits.filter(({ start }) => start >= id.end).map((edit) => shifted(edit, id.end)),
        ),
      },
      bytes: said.length * (edits.length === 0 ? 1 : 2),
    };
    if (list.bytes > this.#maxBytes) return;
    this.#lists.set(key, list);
    this.#bytes += list.bytes;
    for (const [oldest] of this.#lists) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#forget(oldest);
    }
  }

  #forget(key: string): void {
    this.#bytes -= this.#lists.get(key)?.bytes ?? 0;
    this.#lists.delete(key);
  }
}

/** Compares an answer, as it comes, with a remembered list: nothing of it has to be held while it is the same. */
export class ExpectedList {
  readonly #list: RememberedList;
  readonly #segments: readonly Buffer[];
  #received = 0;

  constructor(list: RememberedList, upstreamId: string) {
    this.#list = list;
    this.#segments = [list.said.before, Buffer.from(upstreamId, 'latin1'), list.said.behind];
  }

  /** @returns false at the first piece that is another; what came before it is `received`. */
  push(piece: Buffer): boolean {
    let at = 0;
    let start = 0;
    const from = this.#received;
    for (const segment of this.#segments) {
      const end = start + segment.length;
      const reached = from + at;
      if (reached < end && at < piece.length) {
        const length = Math.min(end - reached, piece.length - at);
        const same = piece.compare(segment, reached - start, reached - start + length, at, at + length) === 0;
        if (!same) return false;
        at += length;
      }
      start = end;
    }
    if (at < piece.length) return false;
    this.#received += piece.length;
    return true;
  }

  /** The same list has come, whole, and is for the same eyes. */
  isWhole(standing: Standing): boolean {
    return this.#received === lengthOf(this.#segments) && isFor(this.#list, standing);
  }

  /** What has come. */
  get received(): Buffer {
    return Buffer.concat(this.#segments).subarray(0, this.#received);
  }

  /** What its caller sees around its id. */
  get shown(): AroundId {
    return this.#list.shown;
  }
}

function keyOf(call: Call, { route: { entry }, credential }: Standing): string | undefined {
  const { message, exchange, method, era, version } = call;
  if (entry.mcp.federation !== null || entry.authorization.readsMoment) return undefined;
  if (message?.params && memberValue(message.bytes, message.params, 'cursor')) return undefined;
  const { host, path } = exchange.head;
  return [entry.tenant, entry.name, method, era, version, host, path, credential.principal.id].join('\n');
}

/** Whether the same rules would say the same about the same caller. */
function isFor({ entry, principal }: RememberedList, { route, credential }: Standing): boolean {
  const { id, claims, groups } = credential.principal;
  const sameGroups =
    groups.length === principal.groups.length && groups.every((group, i) => group === principal.groups[i]);
  return entry === route.entry && principal.id === id && principal.claims === claims && sameGroups;
}

function shifted({ start, end, text }: Edit, by: number): Edit {
  return { start: start - by, end: end - by, text };
}

function lengthOf(parts: readonly Buffer[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}
