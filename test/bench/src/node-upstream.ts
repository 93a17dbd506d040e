// The upstream where no C compiler is found: the same answers on node:net. It may cap fast gateways; results say that it was used.
import { type AddressInfo, createServer } from 'node:net';

const sizes: readonly [tool: string, bytes: number][] = [
  ['large', 1 << 20],
  ['medium', 32 << 10],
  ['small', 300],
];
const x = Buffer.alloc(1 << 20, 'x');

function answer(status: string, headers: string, body: Buffer | string): Buffer {
  const length = Buffer.byteLength(body);
  return Buffer.concat([
    Buffer.from(`HTTP/1.1 ${status}\r\n${headers}Content-Length: ${length}\r\n\r\n`),
    Buffer.from(body),
  ]);
}

const json = 'Content-Type: application/json\r\n';

function respond(method: string, body: string): Buffer {
  if (method === 'GET') {
    return Buffer.from(
      'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n: \n\n\r\n',
    );
  }
  if (method === 'DELETE') return answer('200 OK', '', '');
  const id = /"id":\s*("[^"]*"|[^,}]+)/.exec(body)?.[1];
  if (id === undefined) return answer('202 Accepted', '', '');
  const start = `{"jsonrpc":"2.0","id":${id},`;
  if (body.includes('"tools/call"')) {
    const size = sizes.find(([tool]) => body.includes(`"name":"${tool}"`))?.[1] ?? 300;
    const head = `${start}"result":{"content":[{"type":"text","text":"`;
    return answer(
      '200 OK',
      json,
      Buffer.concat([Buffer.from(head), x.subarray(0, size - head.length - 5), Buffer.from('"}]}}')]),
    );
  }
  if (body.includes('"initialize"')) {
    const result =
      '{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"bench","version":"1"}}';
    return answer('200 OK', `${json}Mcp-Session-Id: bench-session\r\n`, `${start}"result":${result}}`);
  }
  if (body.includes('"tools/list"')) {
    const tools = sizes.map(([name]) => ({ name, inputSchema: { type: 'object' } }));
    return answer('200 OK', json, `${start}"result":${JSON.stringify({ tools })}}`);
  }
  return answer('400 Bad Request', json, `${start}"error":{"code":-32601,"message":"Method not found"}}`);
}

const server = createServer({ noDelay: true }, (socket) => {
  let pending = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    for (;;) {
      const headEnd = pending.indexOf('\r\n\r\n');
      if (headEnd < 0) return;
      const head = pending.toString('latin1', 0, headEnd);
      const end = headEnd + 4 + Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0);
      if (pending.length < end) return;
      socket.write(respond(head.slice(0, head.indexOf(' ')), pending.toString('utf8', headEnd + 4, end)));
      pending = pending.subarray(end);
    }
  });
}).listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
