/**
 * Stays connected to the demo and prints its tools, now and whenever the gateway says that they changed. Ends after the
 * number of lists given as argument (default: never).
 *
 *   node test/tour/src/watch-tools.ts [lists]
 */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { demoEndpoint } from './endpoint.ts';

const { url, headers } = await demoEndpoint();
let listsLeft = Number(process.argv[2] ?? Number.POSITIVE_INFINITY);

const client = new Client({ name: 'tour-watch', version: '1.0.0' });
client.setNotificationHandler(ToolListChangedNotificationSchema, () => print());
await client.connect(
  new StreamableHTTPClientTransport(url, { requestInit: { headers } }) as Parameters<Client['connect']>[0],
);
await print();

async function print(): Promise<void> {
  const { tools } = await client.listTools();
  console.log(`tools: ${tools.map(({ name }) => name).join(', ')}`);
  listsLeft -= 1;
  if (listsLeft <= 0) await client.close();
}
