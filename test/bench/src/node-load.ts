// The load generator where wrk is missing: the same closed loop on node:net. Slower than wrk, so it may cap fast targets; results
// say that it was used. Usage: node-load.ts url connections seconds template textBytes [header value]…
import { connect } from 'node:net';

const [target = '', connections = '1', seconds = '1', template = '', textBytes = '1024', ...pairs] =
  process.argv.slice(2);
const url = new URL(target);
const headerLines = pairs.reduce((text, part, i) => text + (i % 2 === 0 ? `${part}: ` : `${part}\r\n`), '');
const started = performance.now();
const until = started + Number(seconds) * 1_000;
const latenciesUs: number[] = [];
let [calls, bytes, failed, open] = [0, 0, 0, 0];

function nextRequest(): string {
  calls += 1;
  const text = 'a'.repeat(Number(textBytes) - 32 + (calls % 64));
  const body = template.replace('@ID', String(calls)).replace('@TEXT', text);
  const trace = calls.toString(16).padStart(32, '0');
  return (
    `POST ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n` +
    `${headerLines}Traceparent: 00-${trace}-${trace.slice(16)}-01\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  );
}

function run(): void {
  open += 1;
  const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true });
  let sentAt = 0;
  let need = -1;
  let got = 0;
  const send = () => {
    [sentAt, need, got] = [performance.now(), -1, 0];
    socket.write(nextRequest());
  };
  socket.on('connect', send);
  socket.on('error', () => void (failed += 1));
  socket.on('close', () => {
    open -= 1;
    if (open === 0) report();
  });
  socket.on('data', (chunk) => {
    bytes += chunk.length;
    got += chunk.length;
    if (need < 0) {
      const head = chunk.toString('latin1', 0, chunk.indexOf('\r\n\r\n'));
      if (!head.startsWith('HTTP/1.1 2')) failed += 1;
      need = head.length + 4 + Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
    }
    if (got < need) return;
    latenciesUs.push((performance.now() - sentAt) * 1_000);
    if (performance.now() < until) send();
    else socket.end();
  });
}

function report(): void {
  const sorted = latenciesUs.toSorted((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.floor(sorted.length * share)] ?? 0);
  const durationUs = Math.round((performance.now() - started) * 1_000);
  console.log(
    `RESULT ${JSON.stringify({ calls: sorted.length, durationUs, bytes, p50Us: at(0.5), p99Us: at(0.99), failed })}`,
  );
}

for (let i = 0; i < Number(connections); i += 1) run();
