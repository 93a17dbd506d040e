import type { BackendEntry } from '@signalbox/config';
import type { Counter, Logger, Metrics } from '@signalbox/runtime';

/** Tells of tools and prompts that lists leave out for a fault of their own; each once, while it is remembered. */
export class HiddenNames {
  readonly #logger: Logger;
  readonly #counter: Counter;
  readonly #told = new Set<string>();

  constructor({ logger, metrics }: { readonly logger: Logger; readonly metrics: Metrics }) {
    this.#logger = logger;
    const help =
      'Tools and prompts that lists leave out: their name is too long, or their header annotations are wrong';
    this.#counter = metrics.counter('signalbox_names_hidden_total', help);
  }

  tooLong(backend: BackendEntry, name: string, maxLength: number): void {
    const why = `has more than ${maxLength} characters with its prefix: rename it in the virtual server`;
    this.#tell(backend, name, why);
  }

  /** Clients of the modern era would have to leave it out themselves (MCP 2026-07-28, Streamable HTTP). */
  badAnnotations(backend: BackendEntry, name: string, fault: string): void {
    this.#tell(backend, name, fault);
  }

  #tell({ key, tenant, name: backend }: BackendEntry, name: string, why: string): void {
    const known = `${key} ${name} ${why}`;
    if (this.#told.has(known)) return;
    if (this.#told.size >= maxTold) this.#told.clear();
    this.#told.add(known);
    this.#counter.add();
    this.#logger.warn('a name is left out of lists', { tenant, backend, name, why });
  }
}

const maxTold = 1_000;
