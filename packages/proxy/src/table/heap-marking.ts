import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';

/**
 * Whether V8 is marking the old generation, step by step between other work. It is the process's own state, therefore
 * there is one.
 */
class HeapMarking {
  #isUnderWay = false;
  #isWatching = false;

  /** From the first question on; what began before is not known. */
  get isUnderWay(): boolean {
    if (!this.#isWatching) this.#watch();
    return this.#isUnderWay;
  }

  #watch(): void {
    this.#isWatching = true;
    const observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) this.#note(entry);
    });
    observer.observe({ entryTypes: ['gc'] });
  }

  /** V8 tells when marking begins; the full collection that it is for ends it. */
  #note(entry: PerformanceEntry): void {
    const { kind } = (entry as CollectionEntry).detail;
    if (kind === constants.NODE_PERFORMANCE_GC_INCREMENTAL) this.#isUnderWay = true;
    else if (kind === constants.NODE_PERFORMANCE_GC_MAJOR) this.#isUnderWay = false;
  }
}

interface CollectionEntry extends PerformanceEntry {
  readonly detail: { readonly kind?: number };
}

export const heapMarking: { readonly isUnderWay: boolean } = new HeapMarking();
