import { mkdir, readFile, rename, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';

import { type Clock, type Logger, type Metrics, writeDurably } from '@signalbox/runtime';

import { decodeReplicaSnapshot, encodeReplicaSnapshot, type ReplicaSnapshot } from './replica-snapshot.ts';

export interface SnapshotFileOptions {
  /** Folder of the file; created when missing. */
  readonly folder: string;
  /** Time between two dumps, in milliseconds. */
  readonly intervalMs: number;
  /** A larger file is not read, in bytes. */
  readonly maxBytes: number;
  /** What to dump; undefined while it is not the newest, so that the file must not look as if it were. */
  readonly collect: () => Promise<ReplicaSnapshot | undefined>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** A snapshot that was found on disk. */
export interface FoundSnapshot extends ReplicaSnapshot {
  /** When it was last known to be the newest state, in milliseconds since the epoch. */
  readonly asOfMs: number;
}

/**
 * The replica's memory on disk, for a start without the database. Written again and again, whole; when nothing has
 * changed only the time of the file is renewed, which says as of when it holds.
 */
export class SnapshotFile {
  readonly #options: SnapshotFileOptions;
  readonly #path: string;
  readonly #failures;
  #written = '';
  #dumping: Promise<void> | undefined;
  #interval: Disposable | undefined;

  constructor(options: SnapshotFileOptions) {
    this.#options = options;
    this.#path = join(options.folder, 'replica.snapshot');
    this.#failures = options.metrics.counter(
      'signalbox_snapshot_failures_total',
      'Snapshots of this replica that could not be written.',
    );
  }

  /** What is on disk; undefined if there is none that can be trusted. A damaged one is set aside. */
  async load(): Promise<FoundSnapshot | undefined> {
    const found = await stat(this.#path).catch(() => undefined);
    if (!found) return undefined;
    try {
      if (found.size > this.#options.maxBytes) throw new Error(`it is larger than ${this.#options.maxBytes} bytes`);
      return { ...decodeReplicaSnapshot(await readFile(this.#path)), asOfMs: found.mtimeMs };
    } catch (error) {
      this.#options.logger.error('the snapshot cannot be used', { path: this.#path, error: String(error) });
      await rename(this.#path, `${this.#path}.quarantined`).catch(() => undefined);
      return undefined;
    }
  }

  /** Dumps from now on. */
  start(): void {
    this.#interval = this.#options.clock.interval(this.#options.intervalMs, () => void this.dump());
  }

  async stop(): Promise<void> {
    this.#interval?.[Symbol.dispose]();
    await this.dump();
  }

  /** Writes what there is; one at a time. */
  dump(): Promise<void> {
    this.#dumping ??= this.#dump()
      .catch((error: unknown) => {
        this.#failures.add();
        this.#options.logger.error('the snapshot could not be written', { path: this.#path, error: String(error) });
      })
      .finally(() => (this.#dumping = undefined));
    return this.#dumping;
  }

  async #dump(): Promise<void> {
    const { collect, folder, clock } = this.#options;
    const snapshot = await collect();
    if (!snapshot) return;
    const content = contentOf(snapshot);
    if (content === this.#written) return utimes(this.#path, clock.now() / 1_000, clock.now() / 1_000);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeDurably(this.#path, encodeReplicaSnapshot(snapshot));
    this.#written = content;
  }
}

/** Tells snapshots apart without looking into resources. */
function contentOf({ scopes, staged, tokens }: ReplicaSnapshot): string {
  const revisions = scopes.map(({ scope, revision }) => [scope, String(revision)]);
  const credentials = tokens.map(({ record: { id, tenants, expiresAt } }) => [id, tenants, expiresAt]);
  const stages = staged.map(({ scope, members, base }) => [scope, members, String(base.revision)]);
  return JSON.stringify([revisions, stages, credentials]);
}
