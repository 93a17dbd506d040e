import { chmod, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Secret } from '@signalbox/runtime';

/** The credentials that `up` keeps, one file each. */
export type SecretName = 'postgres-password' | 'operator-token' | 'node-token' | 'session-key' | 'demo-key';

/** The folder of `up`'s credentials: 0700, its files 0600. What is missing is made on first use. */
export class SecretFolder {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(dataDir: string): Promise<SecretFolder> {
    const folder = join(dataDir, 'secrets');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
    return new SecretFolder(folder);
  }

  /** The credential; undefined if there is none yet. */
  async read(name: SecretName): Promise<Secret | undefined> {
    try {
      const text = (await readFile(join(this.#folder, name), 'utf8')).trim();
      return text === '' ? undefined : new Secret(text);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Stores a credential for good before it is used: written beside, synced, renamed. */
  async write(name: SecretName, value: Secret): Promise<void> {
    const path = join(this.#folder, name);
    await rm(`${path}.new`, { force: true });
    const file = await open(`${path}.new`, 'wx', 0o600);
    try {
      await file.writeFile(`${value.reveal()}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.new`, path);
  }

  /** The credential, made and stored if there is none yet. */
  async readOrMake(name: SecretName, make: () => Secret | Promise<Secret>): Promise<Secret> {
    const present = await this.read(name);
    if (present) return present;
    const made = await make();
    await this.write(name, made);
    return made;
  }

  async remove(name: SecretName): Promise<void> {
    await rm(join(this.#folder, name), { force: true });
  }
}
