import { Server, Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { GivenSockets } from './given-sockets.ts';

describe('sockets that another process gives', () => {
  it('are awaited once they are needed, and are there when all were given', async () => {
    let awaited = 0;
    const sockets = new GivenSockets(() => void (awaited += 1));
    const [one, other] = [sockets.take('a:1'), sockets.take('b:2')];
    expect(awaited).toBe(1);
    const server = new Server();
    sockets.add('a:1', server);
    sockets.done();
    expect((await one)?.server).toBe(server);
    expect(await other).toBeUndefined();
  });

  it('lose no connection that was accepted before they are served, here or on the way', async () => {
    const sockets = new GivenSockets(() => undefined);
    const server = new Server();
    sockets.add('a:1', server);
    const [here, onTheWay, later] = [new Socket(), new Socket(), new Socket()];
    server.emit('connection', here);
    sockets.connection('a:1', onTheWay);
    sockets.done();
    const served: Socket[] = [];
    (await sockets.take('a:1'))?.serve((connection) => served.push(connection));
    expect(served).toEqual([here, onTheWay]);
    sockets.connection('a:1', later);
    expect(served).toEqual([here, onTheWay, later]);
  });

  it('end a connection of an address that was not given', () => {
    const sockets = new GivenSockets(() => undefined);
    const stray = new Socket();
    sockets.connection('a:1', stray);
    expect(stray.destroyed).toBe(true);
  });
});
