import { connect, createServer, type Socket } from 'node:net';
import { once } from 'node:events';

export interface TcpProxyOptions {
  /** Where connections go, on 127.0.0.1: the first port that answers, as behind a load balancer. */
  readonly ports: readonly number[];
  /** Told what clients send, by connection. */
  readonly onClientBytes?: (connection: number, bytes: Buffer) => void;
  /** Told when servers send. */
  readonly onServerBytes?: (connection: number) => void;
}

/** A way to a server that a test can close and open again, as a network would. */
export interface TcpProxy {
  readonly port: number;
  /** Connections that are open. */
  readonly connections: number;
  /** Cuts every connection and refuses new ones. */
  close(): void;
  /** Passes nothing on, in either direction, and cuts nothing: a network that loses every packet. */
  stall(): void;
  /** Lets everything through again, also what was held back meanwhile. */
  open(): void;
  stop(): Promise<void>;
}

export async function startTcpProxy({ ports, onClientBytes, onServerBytes }: TcpProxyOptions): Promise<TcpProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let state: 'open' | 'closed' | 'stalled' = 'open';
  let count = 0;
  const server = createServer({ pauseOnConnect: true }, (client) => {
    client.on('error', () => undefined);
    if (state === 'closed') return void client.resetAndDestroy();
    void connectToOne(ports).then((upstream) => {
      if (!upstream || client.destroyed) return void client.resetAndDestroy();
      const pair = [client, upstream] as const;
      const id = count++;
      pairs.add(pair);
      for (const [from, to] of [pair, [upstream, client]] as const) {
        from.on('error', () => undefined);
        from.on('data', (bytes: Buffer) => {
          if (from === client) onClientBytes?.(id, bytes);
          else onServerBytes?.(id);
          to.write(bytes);
        });
        from.on('close', () => {
          to.destroy();
          pairs.delete(pair);
        });
      }
      if (state === 'stalled') upstream.pause();
      else client.resume();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sockets = (): readonly Socket[] => [...pairs].flat();
  return {
    port: (server.address() as { port: number }).port,
    get connections() {
      return pairs.size;
    },
    close() {
      state = 'closed';
      for (const socket of sockets()) socket.resetAndDestroy();
    },
    stall() {
      state = 'stalled';
      for (const socket of sockets()) socket.pause();
    },
    open() {
      state = 'open';
      for (const socket of sockets()) socket.resume();
    },
    async stop() {
      for (const socket of sockets()) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

async function connectToOne(ports: readonly number[]): Promise<Socket | undefined> {
  for (const port of ports) {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const connected = once(socket, 'connect').then(
      () => true,
      () => false,
    );
    if (await connected) return socket;
  }
  return undefined;
}
