import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The demo's endpoint for server-everything, and the key that `npm start` made for it. */
export async function demoEndpoint(
  environment = process.env,
): Promise<{ url: URL; headers: { authorization: string } }> {
  const dataDir = environment['SIGNALBOX_DATA_DIR'] ?? join(import.meta.dirname, '../../../.signalbox');
  const key = (await readFile(join(dataDir, 'secrets/demo-key'), 'utf8')).trim();
  const { gatewayUrl } = JSON.parse(await readFile(join(dataDir, 'cli.json'), 'utf8')) as { gatewayUrl: string };
  return { url: new URL('/demo/everything/mcp', gatewayUrl), headers: { authorization: `Bearer ${key}` } };
}
