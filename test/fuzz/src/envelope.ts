import { requestScanLimits, scanBody, type ScannedMessage, spliceAscii } from '@signalbox/proxy/testing';
import { SeededRandom } from '@signalbox/runtime/testing';
import { Inputs } from './inputs.ts';
import type { Parser } from './parsers.ts';
import { differences, type Reading } from './reading.ts';

export interface FuzzResult {
  readonly inputs: number;
  /** Inputs that the gateway takes, and messages in them. */
  readonly accepted: number;
  readonly messages: number;
  readonly disagreements: readonly Disagreement[];
}

/** Somebody reads what was forwarded in another way than it was authorised. */
interface Disagreement {
  readonly parser: string;
  readonly input: string;
  readonly what: string;
}

/** Inputs that are given to a parser together. */
const chunkSize = 500;
/** What a request of the gateway's goes on under. */
const mintedId = '"sb.0123456789abcdef"';

/**
 * Reads generated bodies as the gateway does, and, of those that it takes, what it would send on as others do. What they find in
 * it must be what was authorised: method, name, URI, arguments, `_meta`, and that it is a request or an answer.
 */
export async function fuzzEnvelope(seed: number, count: number, parsers: readonly Parser[]): Promise<FuzzResult> {
  const inputs = new Inputs(new SeededRandom(seed));
  const disagreements: Disagreement[] = [];
  let [accepted, messages] = [0, 0];
  for (let done = 0; done < count; done += chunkSize) {
    const cases: Case[] = [];
    for (let at = 0; at < Math.min(chunkSize, count - done); at += 1) {
      const body = inputs.next();
      const taken = takenFrom(body);
      if (!taken) continue;
      accepted += 1;
      messages += taken.length;
      cases.push({ body, messages: taken, forwarded: body, but: [] });
      const [only] = taken;
      // What goes on has another id, and all else as it came.
      if (only?.id && taken.length === 1 && body[0] !== openBracket) {
        cases.push({ body, messages: taken, forwarded: spliceAscii(body, only.id, mintedId), but: ['id'] });
      }
    }
    for (const parser of parsers) disagreements.push(...(await compare(cases, parser)));
  }
  return { inputs: count, accepted, messages, disagreements };
}

interface Case {
  readonly body: Buffer;
  readonly messages: readonly ScannedMessage[];
  readonly forwarded: Buffer;
  /** What differs on purpose. */
  readonly but: readonly (keyof Reading)[];
}

const openBracket = 0x5b;

function takenFrom(body: Buffer): readonly ScannedMessage[] | undefined {
  const scanned = scanBody(body, requestScanLimits);
  if (scanned.kind === 'message') return [scanned.message];
  return scanned.kind === 'batch' ? scanned.items : undefined;
}

async function compare(cases: readonly Case[], parser: Parser): Promise<readonly Disagreement[]> {
  const read = await parser.read(cases.map(({ forwarded }) => forwarded));
  return cases.flatMap((one, at) => {
    const what = disagreement(one, read[at]);
    return what === undefined
      ? []
      : [{ parser: parser.name, input: JSON.stringify(one.body.toString('latin1')), what }];
  });
}

function disagreement({ messages, but }: Case, read: readonly Reading[] | undefined): string | undefined {
  if (!read) return 'it refuses what the gateway takes';
  if (read.length !== messages.length) return `it finds ${read.length} messages instead of ${messages.length}`;
  for (const [at, message] of messages.entries()) {
    const differing = differences(ours(message), read[at] as Reading, but);
    if (differing.length > 0) return `message ${at}: ${differing.join(', ')}`;
  }
  return undefined;
}

/** What the gateway authorises. */
function ours({ bytes, method, name, uri, id, args, meta, hasResult, hasError }: ScannedMessage): Reading {
  const json = (span: typeof id): string | undefined =>
    span && JSON.stringify(JSON.parse(bytes.toString('utf8', span.start, span.end)));
  return { method, name, uri, id: json(id), args: json(args), meta: json(meta), hasResult, hasError };
}
