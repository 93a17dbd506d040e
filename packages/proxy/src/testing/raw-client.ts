import { connect, type Socket } from 'node:net';

/** A TCP client that says exactly what a test tells it to. */
export class RawClient implements Disposable {
  readonly socket: Socket;
  /** Everything received, one character a byte. */
  received = '';
  readonly #closed = Promise.withResolvers<string>();
  #waiting: { readonly until: (received: string) => boolean; readonly resolve: (received: string) => void }[] = [];

  private constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.setEncoding('latin1');
    this.socket.on('data', (text: string) => {
      this.received += text;
      this.#settle();
    });
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => this.#closed.resolve(this.received));
  }

  static async connect(port: number): Promise<RawClient> {
    const client = new RawClient(port);
    await new Promise<void>((resolve, reject) => {
      client.socket.once('connect', () => resolve()).once('error', reject);
    });
    return client;
  }

  /** @param text one character a byte. */
  send(text: string): this {
    this.socket.write(text, 'latin1');
    return this;
  }

  /** Resolves with what was received when the other side has closed the connection. */
  get closed(): Promise<string> {
    return this.#closed.promise;
  }

  /** Resolves as soon as what was received contains `text`. */
  receives(text: string): Promise<string> {
    return this.until((received) => received.includes(text));
  }

  until(condition: (received: string) => boolean): Promise<string> {
    return new Promise((resolve) => {
      this.#waiting.push({ until: condition, resolve });
      this.#settle();
    });
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  #settle(): void {
    const met = this.#waiting.filter(({ until }) => until(this.received));
    this.#waiting = this.#waiting.filter((each) => !met.includes(each));
    for (const { resolve } of met) resolve(this.received);
  }
}
