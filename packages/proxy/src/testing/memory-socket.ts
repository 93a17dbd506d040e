import { Duplex } from 'node:stream';

/** A connection without a network: what is received is what a test says, cut where it says, and nowhere else. */
export class MemorySocket extends Duplex {
  readonly localPort = 80;
  readonly remoteAddress = '127.0.0.1';
  /** Everything that was written, one character a byte. */
  sent = '';

  constructor() {
    super({ allowHalfOpen: true });
  }

  /** @param text one character a byte. */
  receive(text: string): void {
    if (!this.destroyed) this.push(Buffer.from(text, 'latin1'));
  }

  /** Neither destroyed nor about to be. */
  get alive(): boolean {
    return !this.destroyed && !this.writableEnded;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.sent += chunk.toString('latin1');
    done();
  }

  destroySoon(): void {
    if (this.writableEnded) return;
    this.end(() => this.destroy());
  }
}
