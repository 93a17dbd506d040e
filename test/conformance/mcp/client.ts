/**
 * What the suite starts as the client under test: it puts the suite's server behind a gateway, and does through it, as a
 * client of the legacy era, what the scenario wants to see. Every request that the server gets is the gateway's.
 *
 * Arguments: where servers are registered, the gateway's endpoint, and, from the suite, the URL of the server.
 */
import { finalMessage, type McpAnswer, RawMcpClient } from '@signalbox/test-harness';

const [register = '', endpoint = '', server = ''] = process.argv.slice(2);
const context = JSON.parse(process.env['MCP_CONFORMANCE_CONTEXT'] ?? '{}') as {
  toolCalls?: readonly { readonly name: string; readonly arguments: Record<string, unknown> }[];
};

await fetch(register, { method: 'PUT', body: server });
const client = new RawMcpClient({ url: endpoint });
await client.initialize({ capabilities: { elicitation: {} } });

const tools = await listed('tools/list', 'tools');
for (const { name, arguments: args } of context.toolCalls ?? tools.map(({ name }) => callOf(String(name)))) {
  await answered(await client.rpc('tools/call', { name, arguments: args }));
}
for (const { uri } of await listed('resources/list', 'resources')) await client.rpc('resources/read', { uri });
for (const { name } of await listed('prompts/list', 'prompts')) await client.rpc('prompts/get', { name });
await client.delete();
client.close();

function callOf(name: string): { readonly name: string; readonly arguments: Record<string, unknown> } {
  return { name, arguments: name === 'add_numbers' ? { a: 5, b: 3 } : {} };
}

/** Entries of a list; none where the server has no such list. */
async function listed(method: string, member: string): Promise<readonly Record<string, unknown>[]> {
  const { result } = await finalMessage(await client.rpc(method));
  return (result?.[member] ?? []) as readonly Record<string, unknown>[];
}

/** Reads a call to its end, and says yes to what it asks. */
async function answered(answer: McpAnswer): Promise<void> {
  const { stream } = answer;
  const asked = stream && (await stream.messages.first('a question or the answer', () => true));
  if (asked?.method === 'elicitation/create') {
    await client.post({ jsonrpc: '2.0', id: asked.id, result: { action: 'accept', content: { confirmed: true } } });
  }
  await finalMessage(answer);
}
