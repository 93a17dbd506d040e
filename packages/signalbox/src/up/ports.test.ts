import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, it } from 'vitest';
import { checkPorts } from './ports.ts';

it('names the setting of every port that somebody else has', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const address = other.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const planned = { part: 'proxy', purpose: 'agents', host: '127.0.0.1', port, setting: '--port' } as const;
  await expect(checkPorts([planned])).rejects.toThrow(`port ${port} on 127.0.0.1, for agents, is in use`);
  other.close();
  await once(other, 'close');
  await expect(checkPorts([planned])).resolves.toBeUndefined();
});
