import type { FederatedMember } from '@signalbox/config';
import type { Counter, Logger, Metrics } from '@signalbox/runtime';

/** Tells of names that cannot be presented; each once, while it is remembered. */
export class HiddenNames {
  readonly #logger: Logger;
  readonly #counter: Counter;
  readonly #told = new Set<string>();

  constructor({ logger, metrics }: { readonly logger: Logger; readonly metrics: Metrics }) {
    this.#logger = logger;
    this.#counter = metrics.counter(
      'signalbox_member_names_hidden_total',
      'Names of members that are too long to be shown',
    );
  }

  tooLong(member: FederatedMember, name: string, maxLength: number): void {
    const key = `${member.backend.key} ${member.prefix} ${name}`;
    if (this.#told.has(key)) return;
    if (this.#told.size >= maxTold) this.#told.clear();
    this.#told.add(key);
    this.#counter.add();
    const { tenant, name: backend } = member.backend;
    const advice = 'rename it in the virtual server';
    this.#logger.warn('a name is too long with its prefix and is left out', {
      tenant,
      backend,
      name,
      maxLength,
      advice,
    });
  }
}

const maxTold = 1_000;
