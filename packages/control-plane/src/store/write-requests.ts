import type { ScopedTransaction } from './database.ts';

/** What a request id did. */
export interface RecordedRequest {
  readonly fingerprint: string;
  readonly revision: bigint;
  readonly committed: boolean;
}

/** What the request did before, if it was made before. The caller holds the scope's row. */
export async function findRequest(
  { sql }: ScopedTransaction,
  scope: string,
  id: string,
): Promise<RecordedRequest | undefined> {
  const [row] = await sql<RecordedRequest[]>`select fingerprint, revision, committed
    from signalbox.write_request where tenant = ${scope} and id = ${id}::uuid`;
  return row;
}

/** Remembers what the request did. @throws a duplicate, if it was made before. */
export async function recordRequest(
  { sql }: ScopedTransaction,
  request: RecordedRequest & { readonly scope: string; readonly id: string },
): Promise<void> {
  const { scope, id, fingerprint, revision, committed } = request;
  await sql`insert into signalbox.write_request (tenant, id, fingerprint, revision, committed)
    values (${scope}, ${id}::uuid, ${fingerprint}, ${revision}, ${committed})`;
}

/** Forgets some requests that are too old to be repeated. */
export async function forgetRequests({ sql }: ScopedTransaction, scope: string, keepHours: number): Promise<void> {
  await sql`delete from signalbox.write_request where tenant = ${scope} and id in (
    select id from signalbox.write_request
    where tenant = ${scope} and at < now() - make_interval(hours => ${keepHours}) order by at limit 1000)`;
}
