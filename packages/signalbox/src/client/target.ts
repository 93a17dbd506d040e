import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Secret } from '@signalbox/runtime/secret';
import type { Cli } from '../cli.ts';
import { Failure } from '../failure.ts';
import { type CliFile, readCliFile } from './cli-file.ts';

/** Which control plane a command talks to, and as whom. */
export interface Target {
  readonly url: string;
  readonly token: Secret | undefined;
  /** Certificates that an https server's must be signed by, in PEM; undefined: those that the machine trusts. */
  readonly ca?: Buffer | undefined;
  /** What `up` wrote for this control plane; undefined for one that it does not run. */
  readonly file: CliFile | undefined;
}

const defaultUrl = 'http://127.0.0.1:7070';

/**
 * `SIGNALBOX_URL` and `SIGNALBOX_TOKEN`, else the `cli.json` that `up` wrote. The token and the variables of that file
 * are used only with its own URL, so that they never reach another server.
 */
export async function findTarget(cli: Cli): Promise<Target> {
  const given = cli.environment['SIGNALBOX_URL'];
  const token = cli.environment['SIGNALBOX_TOKEN'];
  const file = await findCliFile(cli);
  const url = checkedUrl(given || file?.url || defaultUrl);
  const own = file !== undefined && checkedUrl(file.url) === url ? file : undefined;
  return { url, token: token ? new Secret(token) : own?.token, ca: await caOf(cli), file: own };
}

/** `SIGNALBOX_CA_FILE`. @throws Failure if it cannot be read. */
export async function caOf(cli: Pick<Cli, 'environment' | 'cwd'>): Promise<Buffer | undefined> {
  const path = cli.environment['SIGNALBOX_CA_FILE'];
  if (!path) return undefined;
  return readFile(resolve(cli.cwd, path)).catch((error: unknown) => {
    throw new Failure(`SIGNALBOX_CA_FILE cannot be read: ${String(error)}`, 2);
  });
}

/** The nearest `.signalbox/` above the current folder, else that of the checkout which the launcher belongs to. */
export async function findCliFile(cli: Cli): Promise<CliFile | undefined> {
  const chosen = cli.environment['SIGNALBOX_DATA_DIR'];
  const folders = chosen ? [chosen] : [...ancestors(cli.cwd), cli.root].map((folder) => join(folder, '.signalbox'));
  for (const folder of folders) {
    const file = await readCliFile(folder);
    if (file) return file;
  }
  return undefined;
}

function ancestors(folder: string): readonly string[] {
  const parent = dirname(folder);
  return parent === folder ? [folder] : [folder, ...ancestors(parent)];
}

function checkedUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw new Failure(`SIGNALBOX_URL must be an http or https URL, not "${text}"`, 2);
  }
  return url.href.replace(/\/+$/, '');
}
