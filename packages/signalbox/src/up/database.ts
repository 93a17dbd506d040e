import { join } from 'node:path';
import { Secret } from '@signalbox/runtime';
import type { Cli } from '../cli.ts';
import { type RunningPostgres, startPostgres } from '../bundled/postgres-process.ts';
import { newPassword } from '../input/api-key.ts';
import type { SecretFolder } from './first-run.ts';

export interface EmbeddedDatabase {
  readonly postgres: RunningPostgres;
  /** With the password. */
  readonly url: Secret;
}

/** The embedded Postgres of a data folder, with a password that only this folder knows. */
export async function startDatabase(cli: Cli, dataDir: string, secrets: SecretFolder): Promise<EmbeddedDatabase> {
  const password = await secrets.readOrMake('postgres-password', () => newPassword(cli.random));
  const postgres = await startPostgres({ dataDir: join(dataDir, 'postgres'), port: 0, durable: true, password });
  const url = new URL(postgres.url);
  url.password = password.reveal();
  return { postgres, url: new Secret(url.href) };
}
