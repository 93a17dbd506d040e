/**
 * Lists the tools of the demo and calls one, with an official SDK client.
 *
 *   node test/tour/src/sdk-client.ts v1           SDK 1: legacy era
 *   node test/tour/src/sdk-client.ts v2-legacy    SDK 2, told to stay legacy
 *   node test/tour/src/sdk-client.ts v2-auto      SDK 2, which negotiates the era
 */
import { Client as ClientV2, StreamableHTTPClientTransport as TransportV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { demoEndpoint } from './endpoint.ts';

const { url, headers } = await demoEndpoint();
const requestInit = { headers };
const [mode = 'v1'] = process.argv.slice(2);

const client = await connect(mode);
const { tools } = await client.listTools();
console.log(`tools: ${tools.map(({ name }) => name).join(', ')}`);
const result = await client.callTool({ name: 'echo', arguments: { message: 'mind the gap' } });
console.log(`echo: ${JSON.stringify(result.content)}`);
await client.close();

async function connect(kind: string): Promise<ClientV1 | ClientV2> {
  switch (kind) {
    case 'v1': {
      const v1 = new ClientV1({ name: 'tour-v1', version: '1.0.0' });
      await v1.connect(new TransportV1(url, { requestInit }) as Parameters<ClientV1['connect']>[0]);
      return v1;
    }
    case 'v2-legacy':
    case 'v2-auto': {
      const versionNegotiation = { mode: kind === 'v2-auto' ? ('auto' as const) : ('legacy' as const) };
      const v2 = new ClientV2({ name: 'tour-v2', version: '1.0.0' }, { versionNegotiation });
      await v2.connect(new TransportV2(url, { requestInit }));
      return v2;
    }
    default:
      throw new Error(`expected v1, v2-legacy or v2-auto, got "${kind}"`);
  }
}
