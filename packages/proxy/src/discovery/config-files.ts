import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** One file of configuration as it was read. */
export interface ConfigText {
  readonly path: string;
  readonly text: string;
}

export interface ConfigFilesLimits {
  /** Files in a folder. */
  readonly files: number;
  /** Bytes of all files together. */
  readonly bytes: number;
}

/**
 * Reads a file, or every `.yaml`, `.yml` and `.json` in a folder and the folders in it, in the order of their paths.
 * Names that begin with a dot are left out.
 * @throws Error when something cannot be read or a bound is passed.
 */
export async function readConfigFiles(path: string, limits: ConfigFilesLimits): Promise<readonly ConfigText[]> {
  const paths = await listConfigFiles(path, limits);
  const texts: ConfigText[] = [];
  let bytes = 0;
  for (const each of paths) {
    const text = await readFile(each, 'utf8');
    bytes += Buffer.byteLength(text);
    if (bytes > limits.bytes) throw new Error(`${path}: more than ${limits.bytes} bytes of configuration`);
    texts.push({ path: each, text });
  }
  return texts;
}

/** Something that is different whenever a file was added, removed or written. Cheap: reads no content. */
export async function signatureOf(path: string, limits: ConfigFilesLimits): Promise<string> {
  const lines: string[] = [];
  for (const each of await listConfigFiles(path, limits)) {
    const { ino, size, mtimeNs } = await stat(each, { bigint: true });
    lines.push(`${each} ${ino} ${size} ${mtimeNs}`);
  }
  return lines.join('\n');
}

async function listConfigFiles(path: string, limits: ConfigFilesLimits): Promise<readonly string[]> {
  if (!(await stat(path)).isDirectory()) return [path];
  const paths = (await readdir(path, { recursive: true })).filter(isConfigFile).sort();
  if (paths.length > limits.files) throw new Error(`${path}: more than ${limits.files} files of configuration`);
  return paths.map((each) => join(path, each));
}

function isConfigFile(path: string): boolean {
  return (
    /\.(?:yaml|yml|json)$/.test(path) &&
    !path.split(/[\\/]/).some((part) => part.startsWith('.')) &&
    basename(path) !== ''
  );
}
