import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below the ports that Linux and others give to outgoing connections: nobody gets one of these by chance. */
const [first, last] = [10_000, 30_000];

/** Processes begin far apart, and none gives a port twice before all others. */
let next = first + ((process.pid * 211) % (last - first));

/** A TCP port on 127.0.0.1 that was free a moment ago, for servers that cannot choose one themselves. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = next;
    next = port + 1 < last ? port + 1 : first;
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
