import { memberValue, stringValue } from '../../json/members.ts';
import type { ScannedMessage } from '../../json/message.ts';
import { batchVersion, legacyCodec } from '../../mcp/codec/rev2025-11-25.ts';
import type { RequestLimits } from '../../mcp/request-limits.ts';
import { spliceText } from '../../mcp/splice.ts';
import type { UpstreamError, UpstreamHandler, UpstreamHead } from '../../upstream/upstream.ts';
import { headOf, jsonType } from '../local-answer.ts';
import { type AnswerListener, ServerAnswer } from '../server-answer.ts';
import { messagesIn } from '../messages-in.ts';
import { reviseMessage } from './revise-message.ts';
import { revisedSessionId } from './revised-session-id.ts';

/**
 * The answer to `initialize`. Each hop negotiates alone: a client gets the revision that it asked for, whatever its server
 * speaks. Where both are the same the answer passes as it came.
 */
export class RevisedInitialize implements UpstreamHandler, AnswerListener {
  readonly #handler: UpstreamHandler;
  /** Revision that the client asked for. */
  readonly #asked: string;
  readonly #limits: RequestLimits;
  readonly #reader: ServerAnswer;
  #head: UpstreamHead | undefined;
  #chunks: Buffer[] = [];
  #state: 'reading' | 'passing' | 'done' = 'reading';

  constructor(handler: UpstreamHandler, asked: string, limits: RequestLimits) {
    this.#handler = handler;
    this.#asked = asked;
    this.#limits = limits;
    this.#reader = new ServerAnswer(this, limits);
  }

  onHead(head: UpstreamHead): void {
    this.#head = head;
    this.#reader.onHead(head);
  }

  onData(chunk: Buffer, lent: boolean): boolean | void {
    if (this.#state === 'passing') return this.#handler.onData(chunk, lent);
    if (this.#state === 'done') return;
    const kept = lent ? Buffer.from(chunk) : chunk;
    this.#chunks.push(kept);
    this.#reader.onData(kept);
  }

  onEnd(): void {
    this.#reader.onEnd();
    if (this.#state === 'passing') this.#handler.onEnd();
  }

  onError(error: UpstreamError): void {
    if (this.#state !== 'done') this.#handler.onError(error);
    this.#state = 'done';
  }

  onMessage(): void {}

  onAnswer(message: ScannedMessage, head: UpstreamHead): void {
    const { bytes, result } = message;
    const span = result && memberValue(bytes, result, 'protocolVersion');
    const version = (span && stringValue(bytes, span)) ?? '';
    const { versions } = legacyCodec;
    if (!span || !versions.includes(version)) return this.#pass();
    const client = versions.includes(this.#asked) ? this.#asked : version;
    if (client === version && version !== batchVersion) return this.#pass();
    const own = this.#revised(spliceText(bytes, span, JSON.stringify(client)), client);
    const session = revisedSessionId({ client, server: version, id: head.header('mcp-session-id') ?? '' });
    this.#state = 'done';
    this.#handler.onHead(headOf(200, { ...jsonType, 'mcp-session-id': session }, own.length));
    this.#handler.onData(own, false);
    this.#handler.onEnd();
  }

  onOther(): void {
    this.#pass();
  }

  onBroken(error: UpstreamError): void {
    this.onError(error);
  }

  #revised(answer: Buffer, client: string): Buffer {
    const [message] = messagesIn(answer, this.#limits.responseScan);
    const older = message && reviseMessage(message, client);
    return older?.kind === 'message' ? older.bytes : answer;
  }

  /** As it came. */
  #pass(): void {
    this.#state = 'passing';
    this.#handler.onHead(this.#head as UpstreamHead);
    for (const chunk of this.#chunks.splice(0)) this.#handler.onData(chunk, false);
  }
}
