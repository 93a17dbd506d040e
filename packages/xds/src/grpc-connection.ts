import { constants, type ServerHttp2Session } from 'node:http2';
import { TLSSocket } from 'node:tls';

export interface GrpcConnectionLimits {
  /** A larger message ends its call with RESOURCE_EXHAUSTED. */
  readonly maxRequestBytes: number;
  /** Time without a word from the other end after which it is asked whether it is there, in milliseconds. */
  readonly keepaliveIntervalMs: number;
  /** How long the answer to a ping may take. */
  readonly keepaliveTimeoutMs: number;
  /** Age at which a connection takes no more calls. */
  readonly maxConnectionAgeMs: number;
  /** How long calls of a connection of that age may go on. */
  readonly connectionAgeGraceMs: number;
  /** Calls at one time on one connection. */
  readonly maxStreamsPerConnection: number;
}

/** One connection of a client: who is at its other end, and whether it is still there. */
export class GrpcConnection {
  readonly peer: string;
  readonly #session: ServerHttp2Session;
  readonly #limits: GrpcConnectionLimits;
  readonly #bornMs: number;
  #heardMs: number;
  /** Something has arrived since the last look. */
  #isHeard = false;
  /** When it was asked and has not answered since. */
  #askedMs: number | undefined;
  #isOld = false;

  constructor(session: ServerHttp2Session, limits: GrpcConnectionLimits, nowMs: number) {
    const { remoteAddress = 'unknown', remotePort } = session.socket ?? {};
    this.peer = remotePort === undefined ? remoteAddress : `${remoteAddress}:${remotePort}`;
    this.#session = session;
    this.#limits = limits;
    this.#bornMs = nowMs;
    this.#heardMs = nowMs;
  }

  get maxRequestBytes(): number {
    return this.#limits.maxRequestBytes;
  }

  /** The client's certificate in DER, if it has shown one that is trusted. */
  get certificate(): Buffer | undefined {
    const { socket } = this.#session;
    if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
    return socket.getPeerCertificate().raw;
  }

  /** Something has arrived. */
  heard(): void {
    this.#isHeard = true;
  }

  /** Looks after it. @param mayAsk a ping may be sent. @returns whether one was sent. */
  look(nowMs: number, mayAsk: boolean): boolean {
    const { keepaliveIntervalMs, keepaliveTimeoutMs, maxConnectionAgeMs, connectionAgeGraceMs } = this.#limits;
    if (this.#isHeard) {
      this.#isHeard = false;
      this.#heardMs = nowMs;
      this.#askedMs = undefined;
    }
    const ageMs = nowMs - this.#bornMs;
    const isSilent = this.#askedMs !== undefined && nowMs - this.#askedMs > keepaliveTimeoutMs;
    if (isSilent || ageMs > maxConnectionAgeMs + connectionAgeGraceMs) this.destroy();
    else if (ageMs > maxConnectionAgeMs && !this.#isOld) this.#retire();
    else if (mayAsk && this.#askedMs === undefined && nowMs - this.#heardMs >= keepaliveIntervalMs) {
      return this.#ask(nowMs);
    }
    return false;
  }

  /** Lets calls finish and takes no more. */
  close(): void {
    if (!this.#session.closed && !this.#session.destroyed) this.#session.close();
  }

  destroy(): void {
    this.#session.destroy();
  }

  #retire(): void {
    this.#isOld = true;
    if (this.#session.destroyed) return;
    this.#session.goaway(constants.NGHTTP2_NO_ERROR);
    this.close();
  }

  #ask(nowMs: number): boolean {
    if (this.#session.destroyed || this.#session.closed) return false;
    this.#askedMs = nowMs;
    // Any answer will do; of one that cannot be sent the next look makes an end.
    return this.#session.ping((error) => {
      if (!error) this.#isHeard = true;
    });
  }
}
