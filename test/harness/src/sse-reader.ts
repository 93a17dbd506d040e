/** One event of an SSE stream. */
export interface SseEvent {
  readonly id: string | undefined;
  readonly event: string | undefined;
  readonly retry: number | undefined;
  readonly data: string;
}

/** Cuts text into SSE events; comments are counted, not delivered. Tests send and expect LF or CRLF line ends. */
export class SseReader {
  #rest = '';
  #comments = 0;
  readonly #onEvent: (event: SseEvent) => void;

  constructor(onEvent: (event: SseEvent) => void) {
    this.#onEvent = onEvent;
  }

  get comments(): number {
    return this.#comments;
  }

  write(text: string): void {
    this.#rest = (this.#rest + text).replaceAll('\r\n', '\n');
    for (let end = this.#rest.indexOf('\n\n'); end >= 0; end = this.#rest.indexOf('\n\n')) {
      this.#block(this.#rest.slice(0, end));
      this.#rest = this.#rest.slice(end + 2);
    }
  }

  #block(block: string): void {
    const fields = new Map<string, string>();
    for (const line of block.split('\n')) {
      if (line.startsWith(':')) {
        this.#comments += 1;
        continue;
      }
      const colon = line.indexOf(':');
      const name = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (name === '') continue;
      fields.set(name, name === 'data' && fields.has('data') ? `${fields.get('data')}\n${value}` : value);
    }
    if (fields.size === 0) return;
    const retry = fields.get('retry');
    this.#onEvent({
      id: fields.get('id'),
      event: fields.get('event'),
      retry: retry === undefined ? undefined : Number(retry),
      data: fields.get('data') ?? '',
    });
  }
}
