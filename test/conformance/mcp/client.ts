/**
 * What the suite starts as the client under test: it puts the suite's server behind a gateway, and does through it, as a
 * client of the legacy era, what the scenario wants to see. Every request that the server gets is the gateway's.
 *
 * Arguments: where servers are registered, the gateway's endpoint, and, from the suite, the URL of the server.
 */
// The client alone: this process is started for every scenario.
import { setTimeout as wait } from 'node:timers/promises';
import {
  finalMessage,
  type McpAnswer,
  type McpStream,
  type Message,
  RawMcpClient,
} from '@signalbox/test-harness/raw-mcp-client';

const [register = '', endpoint = '', server = ''] = process.argv.slice(2);
const context = JSON.parse(process.env['MCP_CONFORMANCE_CONTEXT'] ?? '{}') as {
  toolCalls?: readonly { readonly name: string; readonly arguments: Record<string, unknown> }[];
};

await fetch(register, { method: 'PUT', body: server });
const client = new RawMcpClient({ url: endpoint });
await client.initialize({ capabilities: { elicitation: {} } });

// Servers of other scenarios take the first GET for that of a client that comes back.
const asks = process.env['MCP_CONFORMANCE_SCENARIO']?.startsWith('elicitation') === true;
const unasked = asks ? (await client.get()).stream : undefined;
if (unasked) void answerUnasked(unasked);

const tools = await listed('tools/list', 'tools');
for (const { name, arguments: args } of context.toolCalls ?? tools.map(({ name }) => callOf(String(name)))) {
  await answered(await client.rpc('tools/call', { name, arguments: args }));
}
for (const { uri } of await listed('resources/list', 'resources')) await client.rpc('resources/read', { uri });
for (const { name } of await listed('prompts/list', 'prompts')) await client.rpc('prompts/get', { name });
unasked?.close();
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

/** Reads a call to its end, says yes to what it asks, and comes back when its stream ends early. */
async function answered(answer: McpAnswer): Promise<void> {
  const { stream } = answer;
  if (!stream) return;
  const asked = await next(stream, () => true);
  if (asked?.method === 'elicitation/create') await accept(asked);
  if (await next(stream, isAnswer)) return;
  const last = stream.events.items.findLast(({ id }) => id !== undefined);
  const retryMs = stream.events.items.findLast(({ retry }) => retry !== undefined)?.retry ?? 0;
  await wait(Number(retryMs));
  const rest = await client.get({ 'last-event-id': last?.id ?? '' });
  if (rest.stream) await next(rest.stream, isAnswer);
  rest.stream?.close();
}

/** Questions that are of no call come on the stream of the session. */
async function answerUnasked(stream: McpStream): Promise<void> {
  const done = new Set<Message>();
  for (;;) {
    const asked = await next(stream, (message) => message.method === 'elicitation/create' && !done.has(message));
    if (!asked) return;
    done.add(asked);
    await accept(asked);
  }
}

async function accept({ id, params }: Message): Promise<void> {
  await client.post({ jsonrpc: '2.0', id, result: { action: 'accept', content: contentFor(params) } });
}

/** A message that matches; undefined when the stream ends before it comes. */
async function next({ messages, ended }: McpStream, matches: (message: Message) => boolean) {
  const found = messages.first('a message', matches).catch(() => undefined);
  await Promise.race([found, ended]);
  return messages.items.find(matches);
}

function isAnswer({ id, method }: Message): boolean {
  return id !== undefined && method === undefined;
}

/** What the schema says is usual; a yes where it says nothing. */
function contentFor(params: Message['params']): Record<string, unknown> {
  const schema = params?.['requestedSchema'] as { properties?: Record<string, { default?: unknown }> } | undefined;
  const usual = Object.entries(schema?.properties ?? {}).filter(([, property]) => property.default !== undefined);
  const content = Object.fromEntries(usual.map(([name, property]) => [name, property.default]));
  return usual.length === 0 ? { confirmed: true } : content;
}
