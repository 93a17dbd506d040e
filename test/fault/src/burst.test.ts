import { decodeDocument } from '@signalbox/config';
import { type LegacyMcpServer, startLegacyMcpServer, startSystem, type System } from '@signalbox/test-harness';
import postgres from 'postgres';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';

import { applied, metric, served, tools, untilApplied } from './routes.ts';
import { changing } from './writer.ts';

const changes = 1_000;
/** The defaults of the publisher: a burst is published when so long nothing followed, and at least so often. */
const publishMaxMs = 50;

describe('one resource changes a thousand times in an instant', () => {
  let upstream: LegacyMcpServer;
  let system: System;

  beforeEach(async () => {
    upstream = await startLegacyMcpServer();
    system = await startSystem({ pgUrl: inject('pgUrl') });
    await system.apply(served(upstream.url));
    const first = await system.admin.config.apply({ scope: 'acme', resources: [changing('acme', 'before')] });
    await untilApplied(system, 'node-0', first.revision);
  });
  afterEach(async () => {
    await system.stop();
    await upstream.stop();
  });

  it('nodes get a few answers, the last of them the last state', async () => {
    const before = await system.revision('acme');
    const responses = () => metric(system.apiUrl, 'signalbox_discovery_responses_total');
    const sent = await responses();
    const tookMs = await commitMany(system.databaseUrl, before);
    const last = before + BigInt(changes);
    await untilApplied(system, 'node-0', last);
    expect(await system.revision('acme')).toBe(last);
    const { resource } = await system.admin.config.get({ scope: 'acme', kind: 'Backend', name: 'changing' });
    expect(resource?.document?.spec).toMatchObject({ mcp: { url: `http://127.0.0.1:1/text-${changes}` } });
    // Each is one answer of data and one Manifest; the first comes without delay.
    const rounds = ((await responses()) - sent) / 2;
    expect(rounds).toBeLessThanOrEqual(Math.ceil(tookMs / publishMaxMs) + 2);
    expect(await applied(system, 'node-0')).toBe(last);
    expect(await tools(system.node(0))).toHaveLength(3);
  });
});

/** Commits, one after the other, by what the store writes: through the API it would take longer than a burst. */
async function commitMany(databaseUrl: string, before: bigint): Promise<number> {
  const rows = Array.from({ length: changes }, (_, n) => stored(`text-${n + 1}`));
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => undefined });
  try {
    await sql`create temp table wanted as select n, digest, decode(body, 'base64') as body
      from jsonb_to_recordset(${sql.json(rows.map((row, n) => ({ n: n + 1, ...row })))}::jsonb)
      as r(n int, digest text, body text)`;
    const startedMs = performance.now();
    await sql.unsafe(`do $$ begin for i in 1..${changes} loop
      insert into signalbox.change_log (tenant, revision, kind, name, digest, body, at)
        select 'acme', ${before} + i, 'Backend', 'changing', digest, body, clock_timestamp() from wanted where n = i;
      update signalbox.resource r set revision = ${before} + i, digest = w.digest, body = w.body from wanted w
        where w.n = i and tenant = 'acme' and kind = 'Backend' and name = 'changing';
      update signalbox.tenant set revision = ${before} + i where name = 'acme';
      insert into signalbox.revision (tenant, revision, parent, cause, author, message, change_count)
        values ('acme', ${before} + i, ${before} + i - 1, 'apply', 'burst', '', 1);
      commit; end loop; end $$`);
    const tookMs = performance.now() - startedMs;
    await sql`select pg_notify('signalbox_change', '')`;
    return tookMs;
  } finally {
    await sql.end();
  }
}

function stored(text: string): { readonly digest: string; readonly body: string } {
  const decoded = decodeDocument(changing('acme', text));
  if (!('resource' in decoded)) throw new Error('the resource cannot be decoded');
  const { digest, body } = decoded.resource.stored;
  return { digest, body: Buffer.from(body).toString('base64') };
}
