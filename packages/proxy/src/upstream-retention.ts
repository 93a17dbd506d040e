import type { BackendEntry, RouteEntry, RoutingTable } from '@signalbox/config';
import type { Clock, Logger } from '@signalbox/runtime';
import type { TableObserver } from './table/admission.ts';
import { TimeSlice } from './table/time-slice.ts';
import type { Upstream } from './upstream/upstream.ts';

export interface UpstreamRetentionOptions {
  readonly upstream: Pick<Upstream, 'retain'>;
  /** What is known of backends by their keys. */
  readonly health: { retain(keys: ReadonlySet<string>): void };
  /** How long to wait after a swap, in milliseconds: a connection that nobody needs may wait, requests may not. */
  readonly delayMs: number;
  readonly sliceMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Closes idle connections to backends that the present table no longer names, and forgets how these did: after each swap, and again when the last
 * request of a superseded table has ended and left its connection idle.
 */
export class UpstreamRetention implements TableObserver {
  readonly #options: UpstreamRetentionOptions;
  readonly #origins = new WeakMap<BackendEntry, string>();
  #present: RoutingTable | undefined;
  #timer: Disposable | undefined;

  constructor(options: UpstreamRetentionOptions) {
    this.#options = options;
  }

  onSwap(_previous: RoutingTable | undefined, next: RoutingTable): void {
    this.#present = next;
    this.#schedule();
  }

  onRetired(): void {
    this.#schedule();
  }

  stop(): void {
    this.#timer?.[Symbol.dispose]();
    this.#present = undefined;
  }

  #schedule(): void {
    this.#timer ??= this.#options.clock.timer(this.#options.delayMs, () => {
      this.#timer = undefined;
      this.#retain().catch((error: unknown) =>
        this.#options.logger.error('unused upstream connections could not be closed', { error: String(error) }),
      );
    });
  }

  async #retain(): Promise<void> {
    const table = this.#present;
    const slice = new TimeSlice(this.#options.clock, this.#options.sliceMs);
    const origins = new Set<string>();
    const keys = new Set<string>();
    slice.begin();
    for (const tenant of table?.tenants.values() ?? []) {
      for (const route of tenant.routes.values()) {
        for (const backend of backendsOf(route)) {
          origins.add(this.#originOf(backend));
          keys.add(backend.key);
        }
        if (slice.spent) await slice.pause();
      }
    }
    if (!table || table !== this.#present) return;
    this.#options.upstream.retain(origins);
    this.#options.health.retain(keys);
  }

  #originOf(backend: BackendEntry): string {
    let origin = this.#origins.get(backend);
    if (origin === undefined) {
      origin = new URL(backend.url).origin;
      this.#origins.set(backend, origin);
    }
    return origin;
  }
}

function backendsOf(route: RouteEntry): readonly BackendEntry[] {
  if (route.kind !== 'mcp') return [route.backend];
  return (route.mcp.federation?.members ?? [route.mcp.member]).map(({ backend }) => backend);
}
