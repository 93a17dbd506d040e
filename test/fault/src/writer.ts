import { randomUUID } from 'node:crypto';

import { ConnectError } from '@connectrpc/connect';
import { systemClock } from '@signalbox/runtime';
import type { Admin } from '@signalbox/test-harness';

/** What a writer has been told. */
export interface Written {
  /** Texts by the revision that the API answered for them, in order. */
  readonly acknowledged: ReadonlyMap<bigint, string>;
  /** Answers that were errors, and how long each took in milliseconds. */
  readonly failures: readonly { readonly code: number; readonly milliseconds: number }[];
}

/**
 * Changes one backend of a tenant again and again, as a script would: with a request id, and once more when the answer is an
 * error, elsewhere if there is an elsewhere.
 */
export class Writer {
  readonly #admins: readonly Admin[];
  readonly #tenant: string;
  readonly #acknowledged = new Map<bigint, string>();
  readonly #failures: { readonly code: number; readonly milliseconds: number }[] = [];
  #count = 0;
  #stopped = false;
  #running: Promise<void> | undefined;

  constructor(admins: readonly Admin[], tenant: string) {
    this.#admins = admins;
    this.#tenant = tenant;
  }

  get written(): Written {
    return { acknowledged: this.#acknowledged, failures: this.#failures };
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Resolves with what was acknowledged last. */
  async stop(): Promise<bigint> {
    this.#stopped = true;
    await this.#running;
    return [...this.#acknowledged.keys()].at(-1) ?? 0n;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      this.#count += 1;
      await this.#write(`text-${this.#count}`, randomUUID());
    }
  }

  /** Tries until it has an answer, at one place after the other. */
  async #write(text: string, requestId: string): Promise<void> {
    for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
      const startedMs = systemClock.monotonic();
      const admin = this.#admins[attempt % this.#admins.length] as Admin;
      try {
        const resources = [changing(this.#tenant, text)];
        const { revision } = await admin.config.apply({ scope: this.#tenant, resources, requestId });
        this.#acknowledged.set(revision, text);
        return;
      } catch (error) {
        const { code } = ConnectError.from(error);
        this.#failures.push({ code, milliseconds: systemClock.monotonic() - startedMs });
        await systemClock.sleep(retryMs);
      }
    }
    throw new Error(`no answer to ${text} after ${maxAttempts} attempts`);
  }
}

const retryMs = 10;
const maxAttempts = 1_000;

/** The backend that changes. */
export function changing(tenant: string, text: string) {
  return { kind: 'Backend', tenant, name: 'changing', spec: { mcp: { url: `http://127.0.0.1:1/${text}` } } };
}

/** Revisions that are missing between the first and the last. */
export function gapsIn(revisions: readonly bigint[]): readonly bigint[] {
  const sorted = revisions.toSorted((a, b) => Number(a - b));
  return sorted.flatMap((revision, at) => (at > 0 && revision !== (sorted[at - 1] as bigint) + 1n ? [revision] : []));
}
