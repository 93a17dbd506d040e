import { operatorScope } from '@signalbox/config/kind';
import type { Node } from '@signalbox/proto/signalbox/admin/v1/node_service_pb.ts';
import type { Cli } from '../cli.ts';
import type { AdminClient } from '../client/admin-client.ts';
import { Failure } from '../failure.ts';

/** How often the node's state is looked at, in milliseconds. */
const pollMs = 20;

/** Waits until a connected node runs the newest revision of every scope. @throws Failure when it refuses one or is late. */
export async function nodeReady(cli: Cli, client: AdminClient, deadlineMs: number): Promise<void> {
  const giveUp = cli.clock.monotonic() + deadlineMs;
  const newest = await newestRevisions(client);
  for (;;) {
    const { nodes } = await client.nodes.listNodes({}, { signal: cli.interrupted });
    const connected = nodes.filter((node) => node.connected);
    if (connected.some((node) => runs(node, newest))) return;
    const refused = connected.find((node) => node.lastNack?.current);
    if (refused) {
      const reasons = refused.lastNack?.refusals.map(({ resource, message }) => `${resource}: ${message}`) ?? [];
      throw new Failure(`the proxy refused the configuration:\n  ${reasons.join('\n  ')}`);
    }
    if (cli.clock.monotonic() > giveUp) {
      const seconds = deadlineMs / 1_000;
      throw new Failure(
        `the proxy has not applied the configuration within ${seconds} s: see signalbox nodes and the log`,
      );
    }
    await cli.clock.sleep(pollMs, cli.interrupted);
  }
}

/** By scope; a scope that has no revision yet has none to run. */
async function newestRevisions(client: AdminClient): Promise<ReadonlyMap<string, bigint>> {
  const { revisions } = await client.config.listRevisions({ scope: operatorScope, limit: 1 });
  const { tenants } = await client.tenants.listTenants({});
  const all = [
    [operatorScope, revisions[0]?.revision ?? 0n] as const,
    ...tenants.map((one) => [one.name, one.revision] as const),
  ];
  return new Map(all.filter(([, revision]) => revision > 0n));
}

function runs(node: Node, newest: ReadonlyMap<string, bigint>): boolean {
  const applied = new Map(node.scopes.map((scope) => [scope.scope, scope.appliedRevision]));
  return [...newest].every(([scope, revision]) => (applied.get(scope) ?? 0n) >= revision);
}
