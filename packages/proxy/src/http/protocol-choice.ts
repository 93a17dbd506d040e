import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { ListenerCodec } from './listening-socket.ts';

/** Takes connections that speak its protocol. */
export type Connected = (socket: Socket) => void;

/** Gives encrypted connections to the codec that was agreed on in the handshake (ALPN, RFC 7301). */
export function chooseByAlpn(http1: Connected, http2: Connected): Connected {
  return (socket) => ((socket as TLSSocket).alpnProtocol === 'h2' ? http2 : http1)(socket);
}

/**
 * Gives connections that are not encrypted to a codec by their first bytes: HTTP/2 with prior knowledge begins with a
 * word that is no method of HTTP/1.1 (RFC 9113 §3.3, §3.4).
 */
export class PrefaceChoice implements ListenerCodec {
  readonly #http1: Connected;
  readonly #http2: Connected;
  readonly #maxTicks: number;
  /** Connections that have not said enough, with the tick at which they came. */
  readonly #waiting = new Map<Socket, number>();
  #tick = 0;

  /** @param maxTicks after which a connection that has not said enough is closed. */
  constructor(http1: Connected, http2: Connected, maxTicks: number) {
    this.#http1 = http1;
    this.#http2 = http2;
    this.#maxTicks = maxTicks;
  }

  connected(socket: Socket): void {
    let heard: Buffer = noBytes;
    const listen = (bytes: Buffer) => {
      heard = heard.length === 0 ? bytes : Buffer.concat([heard, bytes]);
      const isPreface = beginsPreface(heard);
      if (isPreface === undefined) return;
      this.#waiting.delete(socket);
      socket.off('data', listen).off('error', ignore).off('close', forget).off('end', leave).pause();
      socket.unshift(heard);
      if (isPreface) return this.#http2(socket);
      this.#http1(socket);
      socket.resume();
    };
    const forget = () => void this.#waiting.delete(socket);
    const leave = () => void socket.destroy();
    this.#waiting.set(socket, this.#tick);
    socket.on('data', listen).on('error', ignore).on('close', forget).on('end', leave);
  }

  get connections(): number {
    return this.#waiting.size;
  }

  drain(): void {
    // Nothing was promised to anybody.
  }

  checkTimes(): void {
    this.#tick += 1;
    for (const [socket, since] of this.#waiting) if (this.#tick - since > this.#maxTicks) socket.destroy();
  }

  closeIdle(): void {
    this.destroyAll();
  }

  destroyAll(): void {
    for (const socket of this.#waiting.keys()) socket.destroy();
  }
}

const preface = Buffer.from('PRI');
const noBytes = Buffer.alloc(0);

/** @returns undefined while it may still become one. */
function beginsPreface(heard: Buffer): boolean | undefined {
  const known = Math.min(heard.length, preface.length);
  if (heard.compare(preface, 0, known, 0, known) !== 0) return false;
  return known === preface.length ? true : undefined;
}

function ignore(): void {}
