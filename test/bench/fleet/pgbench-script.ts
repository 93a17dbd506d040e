import type { Statement } from './statement-tap.ts';

/** What was written when the statements were recorded. */
export interface Recorded {
  readonly scope: string;
  readonly revision: bigint;
  readonly requestId: string;
}

/**
 * The transaction as a script of pgbench in which every client commits to a tenant of its own: names of the recorded
 * tenant, its revisions and the request id become those of the client, everything else stays.
 */
export function pgbenchScript(statements: readonly Statement[], recorded: Recorded): string {
  const revision = statements.findIndex(({ text }) => /\bt\.revision\b[^;]*\bfor update\b/.test(text));
  if (revision < 0) throw new Error('no statement locks the row of the tenant');
  const lines = statements.map((statement, at) => {
    const text = inlined(statement, recorded).replaceAll(/\s+/g, ' ');
    return at === revision ? `${text} \\gset` : `${text};`;
  });
  return `${lines.join('\n')}\n`;
}

const tenantOfTheClient = `('writer-' || :client_id)`;

function inlined({ text, parameters }: Statement, { scope, revision, requestId }: Recorded): string {
  // Settings of the transaction travel with its begin, as literals.
  const ofTheClient = text.replaceAll(`'${scope}'`, tenantOfTheClient);
  return ofTheClient.replaceAll(/\$(\d+)/g, (_, index: string) => {
    const value = parameters[Number(index) - 1];
    if (value === null || value === undefined) return 'null';
    if (value === scope) return tenantOfTheClient;
    if (value === requestId) return 'gen_random_uuid()';
    if (value === String(revision)) return '(:revision::bigint + 1)';
    if (value === String(revision - 1n)) return ':revision::bigint';
    // A number stays one: its place says of which type.
    return `'${value.replaceAll("'", "''")}'`;
  });
}
