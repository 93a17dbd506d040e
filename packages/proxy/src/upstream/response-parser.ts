import { FieldLines } from '../http/field-lines.ts';
import { type BodyLength, type MessageFault, MessageReader, type MessageSink } from '../http/message-reader.ts';
import { parseResponseHead, type ResponseHead } from './response-head.ts';

/** Takes an answer as it is read. Any call may lead to `stop`. */
export interface ResponseSink {
  onHead(head: ResponseHead): void;
  /** Bytes `[start, end)` of what was read; they may be overwritten after the call. */
  onBody(bytes: Buffer, start: number, end: number): void;
  /** The answer is complete. @param reusable the connection may carry another exchange. */
  onComplete(reusable: boolean): void;
  /** The answer cannot be understood. */
  onProblem(problem: string): void;
}

/** Reads the answers of one connection, each when it is due. Input may be cut anywhere. Never throws. */
export class ResponseParser implements MessageSink {
  readonly #sink: ResponseSink;
  readonly #reader: MessageReader;
  readonly #lines = new FieldLines(false);
  readonly #maxHeadBytes: number;
  /** An answer is due, or under way. */
  #isDue = false;
  #isStopped = false;
  #method = '';
  #head: ResponseHead | undefined;
  #informational = 0;

  constructor(sink: ResponseSink, maxHeadBytes: number) {
    this.#sink = sink;
    this.#maxHeadBytes = maxHeadBytes;
    this.#reader = new MessageReader(this, maxHeadBytes);
  }

  /** A request was sent: an answer is due. */
  begin(method: string): void {
    this.#isDue = true;
    this.#method = method;
    this.#informational = 0;
  }

  /** Lets go of what would make the next head cheaper to read: it may be long until that comes. */
  forgetLines(): void {
    this.#lines.forget();
  }

  /** Nothing more is reported. */
  stop(): void {
    this.#isStopped = true;
    this.#isDue = false;
    this.#reader.stop();
  }

  /** No byte of an answer has come since `begin`. */
  get untouched(): boolean {
    return this.#isDue && this.#reader.idle && this.#informational === 0;
  }

  push(bytes: Buffer): void {
    if (this.#isDue) this.#reader.push(bytes);
    else if (!this.#isStopped && bytes.length > 0) this.#fail('the upstream sent something without being asked');
  }

  /** The peer will send nothing more. @returns false if that cuts an answer short. */
  end(): boolean {
    if (!this.#isDue) return true;
    if (this.#head?.bodyLength !== 'until-close') return false;
    this.onComplete(true);
    return true;
  }

  onHead(text: string): BodyLength | undefined {
    const head = parseResponseHead(text, this.#lines, this.#method);
    if (typeof head === 'string') this.#fail(head);
    else if (head.status < 200) this.#skipInformational(head.status);
    else {
      this.#head = head;
      this.#sink.onHead(head);
      return head.bodyLength;
    }
    return undefined;
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    this.#sink.onBody(bytes, start, end);
  }

  /** @param isLast nothing came behind the answer. Else its end is where peers may disagree (response splitting). */
  onComplete(isLast: boolean): void {
    if (!isLast) return this.#fail('there is more behind the answer');
    const reusable = this.#head?.keepAlive === true;
    this.#head = undefined;
    this.#isDue = false;
    if (!reusable) this.stop();
    this.#sink.onComplete(reusable);
  }

  onFault(fault: MessageFault): void {
    this.#fail(fault === 'head-too-large' ? `the head exceeds ${this.#maxHeadBytes} bytes` : faults[fault]);
  }

  #skipInformational(status: number): void {
    this.#informational += 1;
    if (status === 101) this.#fail('the upstream switched protocols without being asked');
    else if (this.#informational > maxInformational) this.#fail('too many informational answers');
  }

  #fail(problem: string): void {
    this.stop();
    this.#sink.onProblem(problem);
  }
}

/** Answers like 100 and 103 before the final one. */
const maxInformational = 16;
const faults = {
  'head-malformed': 'the head has a bare line break or a control character',
  'chunks-malformed': 'the chunked body is malformed',
};
