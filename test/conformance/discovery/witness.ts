import { DeltaStream, type Subscriber } from './raw-stream.ts';

/**
 * Another subscriber that follows a type. What it has been sent has been offered to every other stream of the same
 * family: so a test knows when nothing more is coming.
 */
export class Witness {
  readonly #stream: DeltaStream;

  private constructor(stream: DeltaStream) {
    this.#stream = stream;
  }

  static async of(to: Subscriber, typeUrl: string): Promise<Witness> {
    const stream = new DeltaStream(to);
    stream.ack(await stream.ask({ typeUrl }, 'witness'));
    return new Witness(stream);
  }

  /** Resolves when a resource was sent or removed. */
  async sees(name: string): Promise<void> {
    for (;;) {
      const answer = await this.#stream.next();
      this.#stream.ack(answer);
      if (answer.names.includes(name) || answer.removed.includes(name)) return;
    }
  }

  close(): void {
    this.#stream.cancel();
  }
}
