// Child entry: the public MCP server-everything over Streamable HTTP. Its port is the variable PORT.
import { Server } from 'node:net';
import { endWithParent } from './end-with-parent.ts';

endWithParent();

/** It listens on every address of the machine and checks nobody; a demo stays on loopback. */
// oxlint-disable-next-line typescript/unbound-method -- called with the server that it was called on
const listen = Server.prototype.listen;
Server.prototype.listen = function listenOnLoopback(this: Server, port: unknown, ...rest: readonly unknown[]): Server {
  return Reflect.apply(listen, this, [Number(port), '127.0.0.1', ...rest]) as Server;
};

await import('@modelcontextprotocol/server-everything/dist/transports/streamableHttp.js');
