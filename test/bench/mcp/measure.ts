import { type JwtIssuer, legacyVersion, modernVersion, RawMcpClient } from '@signalbox/test-harness';

import { type LoadOptions, toolCall } from '../src/load.ts';
import { type CallCost, type Measured, takeTurns } from '../src/rounds.ts';
import { listedTools, type Scene, type Way } from './scene.ts';

/** One table of the results. */
export interface Part {
  readonly title: string;
  /** Ways that take turns, as far as they are there. */
  readonly ways: readonly string[];
  /** Tool that is called; undefined: tools are listed. */
  readonly tool: 'small' | 'medium' | 'large' | undefined;
}

export const parts: readonly Part[] = [
  {
    title: '300 B result',
    ways: ['nginx', 'legacy', 'modern', 'to-modern', 'to-legacy', 'members', 'envoy', 'sdk'],
    tool: 'small',
  },
  {
    title: '32 KB result',
    ways: ['nginx', 'legacy', 'modern', 'to-modern', 'to-legacy', 'members', 'envoy'],
    tool: 'medium',
  },
  { title: '1 MB result', ways: ['nginx', 'legacy', 'members', 'to-legacy'], tool: 'large' },
  { title: `List of ${listedTools} tools`, ways: ['list'], tool: undefined },
];

export const rounds = 3;
const seconds = 2;
const warmUpSeconds = 1;
const argumentBytes = 1_024;

/** What was measured, by `<way>/<title of the part>`. */
export type Costs = ReadonlyMap<string, CallCost>;

/** Measures one part after the other; within one all ways take turns. */
export async function measureParts(scene: Scene, issuer: JwtIssuer, say: (line: string) => void): Promise<Costs> {
  const costs = new Map<string, CallCost>();
  const token = await issuer.token('bench', { expiresInSeconds: 3_600 });
  for (const part of parts) {
    const measured: Measured[] = [];
    for (const way of scene.ways.filter(({ name }) => part.ways.includes(name))) {
      measured.push({ name: way.name, pid: way.pid, load: await loadOf(way, part, token) });
    }
    for (const [name, cost] of await takeTurns(measured, { rounds, seconds, warmUpSeconds })) {
      costs.set(`${name}/${part.title}`, cost);
      say(
        `${part.title.padEnd(20)} ${name.padEnd(10)} ${cost.callsPerSecond.toFixed(0).padStart(7)}/s ${cost.cpuUsPerCall.toFixed(1).padStart(8)} µs`,
      );
    }
  }
  return costs;
}

/** The load of a way, once it was seen to answer. @throws when it does not. */
async function loadOf({ name, era, url, prefix }: Way, { tool }: Part, token: string): Promise<Measured['load']> {
  const client = new RawMcpClient({ url, token });
  if (era === 'legacy') await client.initialize();
  await prove(client, { name, era }, tool && prefix + tool);
  client.close();
  const authorization = `Bearer ${token}`;
  const inSession = { 'mcp-session-id': client.session ?? '', 'mcp-protocol-version': legacyVersion };
  const common: Pick<LoadOptions, 'url' | 'tool' | 'argumentBytes'> = { url, tool: prefix + tool, argumentBytes };
  if (tool === undefined) {
    return { ...common, template: listRequest, headers: { authorization, ...inSession } };
  }
  if (era === 'legacy') return { ...common, headers: { authorization, ...inSession } };
  const repeated = { 'mcp-protocol-version': modernVersion, 'mcp-method': 'tools/call', 'mcp-name': prefix + tool };
  return { ...common, template: toolCall(prefix + tool, meta), headers: { authorization, ...repeated } };
}

/** @param tool undefined: its list is looked at. */
async function prove(client: RawMcpClient, way: Pick<Way, 'name' | 'era'>, tool: string | undefined): Promise<void> {
  if (tool === undefined) {
    const names = await client.toolNames();
    if (names.length <= listedTools) throw new Error(`${way.name} lists ${names.length} tools`);
    return;
  }
  const call = way.era === 'modern' ? client.callModern(tool, { text: 'a' }) : client.call(tool, { text: 'a' });
  const message = await call;
  const content = (message.result?.['content'] as { text?: string }[] | undefined)?.[0]?.text ?? '';
  if (!/^x{150,}$/.test(content)) {
    throw new Error(`${way.name} answers ${tool} with ${JSON.stringify(message).slice(0, 300)}`);
  }
}

const listRequest = '{"jsonrpc":"2.0","id":@ID,"method":"tools/list"}';

/** What modern clients say of themselves with every request. */
const meta = JSON.stringify({
  'io.modelcontextprotocol/protocolVersion': modernVersion,
  'io.modelcontextprotocol/clientCapabilities': {},
  'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '1' },
});
