import type { Cli } from '../cli.ts';
import type { AdminClient } from '../client/admin-client.ts';
import { Failure } from '../failure.ts';

/** How often the node's state is looked at, in milliseconds. */
const pollMs = 20;

/** Waits until a connected node runs the newest revision of all its scopes. @throws Failure when it refuses one or is late. */
export async function nodeReady(cli: Cli, client: AdminClient, deadlineMs: number): Promise<void> {
  const giveUp = cli.clock.monotonic() + deadlineMs;
  for (;;) {
    const { nodes } = await client.nodes.listNodes({}, { signal: cli.interrupted });
    const connected = nodes.filter((node) => node.connected);
    const refused = connected.find((node) => node.lastNack?.current);
    if (refused) {
      const reasons = refused.lastNack?.refusals.map(({ resource, message }) => `${resource}: ${message}`).join('\n  ');
      throw new Failure(`the proxy refused the configuration:\n  ${reasons ?? ''}`);
    }
    const ready = connected.some((node) => {
      return node.scopes.length > 0 && node.scopes.every((scope) => scope.appliedRevision === scope.desiredRevision);
    });
    if (ready) return;
    if (cli.clock.monotonic() > giveUp) {
      throw new Failure(
        `the proxy has not applied the configuration within ${deadlineMs / 1_000} s: see signalbox nodes and the log`,
      );
    }
    await cli.clock.sleep(pollMs, cli.interrupted);
  }
}
