import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { OutcomeEvent } from './event.ts';
import { OutcomeEncoder } from './outcome-encoder.ts';
import type { Sink } from './recorder.ts';

export interface JsonLinesOptions {
  /** Path of the file; older ones are beside it as `<file>.1` (the newest) and so on. */
  readonly file: string;
  /** The file is put aside before it grows beyond this. A single larger batch is still written whole. */
  readonly maxBytes?: number;
  /** Files kept, the present one included; at least 1. The oldest is deleted. */
  readonly maxFiles?: number;
}

/**
 * Appends events to a file, one JSON object a line.
 *
 * Durability: a batch that was written is in the kernel, so the end of the process loses nothing of it. The disk is
 * told to keep it (`fdatasync`) when a file is put aside and at the end; a loss of power may take what came since.
 * A batch that could not be written whole is taken back, so that a retry repeats nothing. What a crash left without
 * a line end is closed at the next start, so that readers skip one line at most.
 */
export class JsonLinesSink implements Sink {
  readonly #file: string;
  readonly #maxBytes: number;
  readonly #maxFiles: number;
  readonly #encoder = new OutcomeEncoder();
  #handle: FileHandle | undefined;
  #size = 0;

  constructor(options: JsonLinesOptions) {
    this.#file = options.file;
    this.#maxBytes = options.maxBytes ?? 64 * 1_048_576;
    this.#maxFiles = Math.max(1, options.maxFiles ?? 5);
  }

  async write(batch: readonly OutcomeEvent[]): Promise<void> {
    const lines = this.#encoder.encode(batch);
    let handle = this.#handle ?? (await this.#open());
    if (this.#size > 0 && this.#size + lines.length > this.#maxBytes) {
      await this.#putAside();
      handle = await this.#open();
    }
    try {
      await handle.appendFile(lines);
      this.#size += lines.length;
    } catch (error) {
      await this.#takeBack(handle);
      throw error;
    }
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    if (!handle) return;
    try {
      await handle.datasync();
    } finally {
      await handle.close();
    }
  }

  async #open(): Promise<FileHandle> {
    await mkdir(dirname(this.#file), { recursive: true });
    const handle = await open(this.#file, 'a+', 0o600);
    try {
      const { size } = await handle.stat();
      this.#size = size;
      if (size > 0 && !(await endsWithLineFeed(handle, size))) {
        await handle.appendFile('\n');
        this.#size += 1;
      }
    } catch (error) {
      await handle.close();
      throw error;
    }
    this.#handle = handle;
    return handle;
  }

  /** `file` becomes `file.1`, `file.1` becomes `file.2`, and what is beyond the bound goes. */
  async #putAside(): Promise<void> {
    await this.close();
    if (this.#maxFiles === 1) return rm(this.#file, { force: true });
    for (let age = this.#maxFiles - 1; age > 1; age -= 1) {
      await rename(`${this.#file}.${age - 1}`, `${this.#file}.${age}`).catch(unlessMissing);
    }
    await rename(this.#file, `${this.#file}.1`);
  }

  /** Part of a batch may stand in the file: cut it off, or begin anew if even that fails. */
  async #takeBack(handle: FileHandle): Promise<void> {
    try {
      await handle.truncate(this.#size);
    } catch {
      this.#handle = undefined;
      await handle.close().catch(() => undefined);
    }
  }
}

async function endsWithLineFeed(handle: FileHandle, size: number): Promise<boolean> {
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
  return buffer[0] === 0x0a;
}

function unlessMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
