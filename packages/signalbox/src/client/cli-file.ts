import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Secret } from '@signalbox/runtime/secret';
import { Failure } from '../failure.ts';

/** What `up` leaves for the other commands, so that they work with no variable set. Holds credentials: mode 0600. */
export interface CliFile {
  /** Base URL of the control plane's API. */
  readonly url: string;
  readonly token: Secret;
  /** Tenant that commands mean when none is named; empty: none. */
  readonly tenant: string;
  /** Base URL at which agents reach the gateway. */
  readonly gatewayUrl: string;
  /** API key of the demo's principal, for calls through the gateway. */
  readonly key: Secret | undefined;
  /** Values of `${env:NAME}` references in resource files. */
  readonly variables: Readonly<Record<string, string>>;
}

const cliFileName = 'cli.json';

/** Reads it; undefined if the folder has none. @throws Failure if it is there and cannot be used. */
export async function readCliFile(folder: string): Promise<CliFile | undefined> {
  const path = join(folder, cliFileName);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return undefined;
    throw new Failure(`${path} cannot be read: ${String(error)}`);
  }
  const parsed = parseCliFile(text);
  if (!parsed) throw new Failure(`${path} is damaged: delete it and run signalbox up, which writes it again`);
  return parsed;
}

function parseCliFile(text: string): CliFile | undefined {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof data !== 'object' || data === null) return undefined;
  const { url, token, tenant, gatewayUrl, key, variables } = data as Record<string, unknown>;
  if (typeof url !== 'string' || typeof token !== 'string') return undefined;
  const strings = Object.entries(typeof variables === 'object' && variables !== null ? variables : {}).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  return {
    url,
    token: new Secret(token),
    tenant: typeof tenant === 'string' ? tenant : '',
    gatewayUrl: typeof gatewayUrl === 'string' ? gatewayUrl : '',
    key: typeof key === 'string' ? new Secret(key) : undefined,
    variables: Object.fromEntries(strings),
  };
}

/** Replaces it in one step. */
export async function writeCliFile(folder: string, content: CliFile): Promise<void> {
  const path = join(folder, cliFileName);
  const data = { ...content, token: content.token.reveal(), key: content.key?.reveal() };
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.new`, `${JSON.stringify(data, undefined, 2)}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
}
