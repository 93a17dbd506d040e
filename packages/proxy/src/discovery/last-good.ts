import { createSecretKey, type KeyObject } from 'node:crypto';
import { mkdir, readdir, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, type Logger, type Random, removeDurably, type Secret, writeDurably } from '@signalbox/runtime';
import { decodeLastGood, encodeLastGood, type LastGoodSet } from './last-good-format.ts';

export interface LastGoodOptions {
  /** Folder of the files, one a scope. Created when missing. */
  readonly folder: string;
  /** 32 bytes that seal the files; without it they are plain, readable by the owner only. */
  readonly key: Secret<Buffer> | undefined;
  /** Larger files are not read; bytes. */
  readonly maxFileBytes: number;
  /** Most files that are read at a start. */
  readonly maxScopes: number;
  /** How long to wait after a write failed, in milliseconds. */
  readonly retryMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Called when a set could not be written; it is tried again. */
  readonly onWriteFailed: () => void;
}

const extension = '.set';

/**
 * The sets that were activated last, on disk, so that a node can start and serve without its control plane.
 *
 * Writing happens off the path of activation, one file at a time. Only the newest set of a scope waits to be written,
 * so that what waits is bounded by the number of scopes.
 */
export class LastGood {
  readonly #options: LastGoodOptions;
  readonly #key: KeyObject | undefined;
  readonly #waiting = new Map<string, LastGoodSet | 'forget'>();
  readonly #closing = new AbortController();
  #writing: Promise<void> | undefined;

  constructor(options: LastGoodOptions) {
    this.#options = options;
    this.#key = options.key && createSecretKey(options.key.reveal());
  }

  /** Every set that can be trusted. A file that cannot is renamed out of the way and reported; the others are used. */
  async load(): Promise<readonly LastGoodSet[]> {
    await mkdir(this.#options.folder, { recursive: true, mode: 0o700 });
    const names = (await readdir(this.#options.folder)).filter((name) => name.endsWith(extension)).sort();
    const sets: LastGoodSet[] = [];
    for (const name of names.slice(0, this.#options.maxScopes)) {
      const found = await this.#read(name);
      if ('damage' in found) await this.#quarantine(name, found.damage);
      else sets.push(found);
    }
    return sets;
  }

  /** Takes note of an activated set; returns at once. */
  save(set: LastGoodSet): void {
    this.#waiting.set(set.snapshot.scope, set);
    this.#write();
  }

  /** Takes note that a scope is no longer served; returns at once. */
  forget(scope: string): void {
    this.#waiting.set(scope, 'forget');
    this.#write();
  }

  /** Resolves when everything noted so far has been written. */
  async idle(): Promise<void> {
    await this.#writing;
  }

  /** Writes what waits, trying each once; returns at the signal at the latest. */
  async close(deadline: AbortSignal): Promise<void> {
    this.#closing.abort(new Error('closing'));
    const expired = new Promise<void>((resolve) => {
      if (deadline.aborted) resolve();
      else deadline.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([this.#writing, expired]);
  }

  #write(): void {
    this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    await Promise.resolve();
    for (let next = this.#takeNext(); next; next = this.#takeNext()) {
      const [scope, set] = next;
      try {
        await this.#writeOne(scope, set);
      } catch (error) {
        await this.#failed(scope, set, error);
      }
    }
    this.#writing = undefined;
  }

  /** Waits, then lets the set take its turn again unless a newer one has come. */
  async #failed(scope: string, set: LastGoodSet | 'forget', error: unknown): Promise<void> {
    const { logger, clock, retryMs, onWriteFailed } = this.#options;
    onWriteFailed();
    logger.error('a last good set could not be written; a start without the control plane would serve an older one', {
      scope,
      error: String(error),
    });
    if (this.#closing.signal.aborted) return;
    await clock.sleep(retryMs, this.#closing.signal).catch(() => undefined);
    if (!this.#waiting.has(scope)) this.#waiting.set(scope, set);
  }

  #takeNext(): [string, LastGoodSet | 'forget'] | undefined {
    const [first] = this.#waiting;
    if (first) this.#waiting.delete(first[0]);
    return first;
  }

  async #writeOne(scope: string, set: LastGoodSet | 'forget'): Promise<void> {
    const path = join(this.#options.folder, `${encodeURIComponent(scope)}${extension}`);
    if (set === 'forget') await removeDurably(path);
    else await writeDurably(path, encodeLastGood(set, { key: this.#key, nonce: () => this.#options.random.bytes(12) }));
  }

  async #read(name: string): Promise<LastGoodSet | { readonly damage: string }> {
    const path = join(this.#options.folder, name);
    try {
      if ((await stat(path)).size > this.#options.maxFileBytes) return { damage: 'it is larger than allowed' };
      const found = decodeLastGood(await readFile(path), this.#key);
      if ('damage' in found) return found;
      const expected = `${encodeURIComponent(found.snapshot.scope)}${extension}`;
      return expected === name ? found : { damage: `it holds the set of ${found.snapshot.scope}` };
    } catch (error) {
      return { damage: `it cannot be read: ${String(error)}` };
    }
  }

  async #quarantine(name: string, damage: string): Promise<void> {
    const path = join(this.#options.folder, name);
    const quarantined = `${path}.quarantined`;
    this.#options.logger.error('a last good set cannot be used and was set aside', { path, quarantined, damage });
    await rename(path, quarantined).catch((error: unknown) => {
      this.#options.logger.error('could not set the file aside', { path, error: String(error) });
    });
  }
}
