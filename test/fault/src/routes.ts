import {
  gateway,
  mcpRoute,
  RawMcpClient,
  type ResourceFile,
  type System,
  type SystemNode,
  tenant,
  until,
} from '@signalbox/test-harness';

/** The gateway, a tenant, and a route of it that allows everything. */
export function served(url: string, name = 'acme'): readonly ResourceFile[] {
  return [gateway(), tenant(name), ...route(url, { tenant: name })];
}

/** A route, with the tools that it allows. */
export function route(url: string, { tenant: of = 'acme', name = 'assistant', rules = ['true'] } = {}): ResourceFile[] {
  return mcpRoute({ tenant: of, name, url, keys: { alice: 'alice-key' }, rules });
}

/** Names of the tools that a node shows. */
export async function tools(node: Pick<SystemNode, 'endpoint'>, of = 'acme'): Promise<readonly string[]> {
  const client = new RawMcpClient({ url: node.endpoint(of, 'assistant'), token: 'alice-key' });
  await client.initialize();
  return client.toolNames();
}

/** The revision of a scope that a node runs, as the API says. */
export async function applied(system: System, node: string, scope = 'acme'): Promise<bigint> {
  const found = (await system.nodes()).find(({ id, connected }) => id === node && connected);
  return found?.scopes.find((each) => each.scope === scope)?.appliedRevision ?? 0n;
}

/** Waits until a node runs a revision or a later one. */
export function untilApplied(system: System, node: string, revision: bigint): Promise<true> {
  return until(`${node} to run revision ${revision}`, async () =>
    (await applied(system, node)) >= revision ? true : undefined,
  );
}

/** The value of a metric of a process. */
export async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name} `));
  return Number(line?.split(' ')[1] ?? Number.NaN);
}
