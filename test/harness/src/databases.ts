import { randomUUID } from 'node:crypto';

import postgres from 'postgres';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The run's Postgres, as superuser. Tests never use its own database: see {@link createDatabase}. */
    pgUrl: string;
  }
}

/**
 * Creates an empty database for one test file.
 * @param pgUrl the run's Postgres: `inject('pgUrl')`.
 * @returns the URL of the new database, as superuser. It goes away with the run's Postgres.
 */
export async function createDatabase(pgUrl: string): Promise<string> {
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  const sql = postgres(pgUrl, { max: 1, onnotice: () => undefined });
  try {
    await sql.unsafe(`CREATE DATABASE ${name}`);
  } finally {
    await sql.end();
  }
  const url = new URL(pgUrl);
  url.pathname = `/${name}`;
  return url.href;
}
