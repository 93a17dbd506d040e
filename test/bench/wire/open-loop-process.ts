// An open-loop load generator on node:net: sends at a rate, whether or not answers keep up, and counts those that come in
// time. Its argument is an OpenLoopPlan as JSON; it prints an OpenLoopResult.
import { connect, type Socket } from 'node:net';

import type { OpenLoopPlan, OpenLoopResult, PhaseResult } from './open-loop.ts';

const plan = JSON.parse(process.argv[2] ?? '') as OpenLoopPlan;
const url = new URL(plan.url);
const requests = Array.from({ length: 257 }, (_, i) => requestOf(i));
const idle: Connection[] = [];
let connections = 0;
let sequence = 0;

interface Counted {
  offered: number;
  notSent: number;
  good: number;
  late: number;
  refused: number;
  failed: number;
  readonly failures: Record<string, number>;
  readonly latencies: number[];
  readonly goodPerSlice: number[];
}

/** One keep-alive connection with at most one request under way. */
class Connection {
  readonly #socket: Socket;
  #sentAt = 0;
  #counted: Counted | undefined;
  #left = 0;
  #status = 0;
  #closes = false;
  #hasResult = false;
  #isReady = false;
  #waiting: (() => void) | undefined;

  constructor() {
    connections += 1;
    this.#socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true });
    this.#socket.on('connect', () => {
      this.#isReady = true;
      this.#waiting?.();
    });
    this.#socket.on('data', (chunk) => this.#take(chunk));
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => {
      connections -= 1;
      if (this.#counted) fail(this.#counted, 'closed');
      this.#counted = undefined;
      const place = idle.indexOf(this);
      if (place >= 0) idle.splice(place, 1);
    });
  }

  send(counted: Counted, scheduledAt: number): void {
    this.#counted = counted;
    this.#sentAt = scheduledAt;
    const write = () => void this.#socket.write(requests[(sequence += 1) % requests.length] as Buffer);
    if (this.#isReady) write();
    else this.#waiting = write;
  }

  #take(chunk: Buffer): void {
    if (this.#left === 0) {
      const head = chunk.toString('latin1', 0, Math.min(chunk.length, 1_024));
      const end = head.indexOf('\r\n\r\n') + 4;
      this.#status = Number(head.slice(9, 12));
      this.#hasResult = chunk.includes('"result"');
      this.#closes = /\r\nconnection: close\r\n/i.test(head);
      this.#left = end + Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
    }
    this.#left -= chunk.length;
    if (this.#left > 0) return;
    this.#left = 0;
    const counted = this.#counted;
    this.#counted = undefined;
    if (counted)
      settle(
        counted,
        this.#status === 200 && !this.#hasResult ? inBand : this.#status,
        performance.now() - this.#sentAt,
      );
    if (!this.#closes) idle.push(this);
  }
}

/** An error inside an answer of status 200. */
const inBand = 299;

function settle(counted: Counted, status: number, tookMs: number): void {
  if (status === 503) counted.refused += 1;
  else if (status !== 200) fail(counted, `status ${status}`);
  else if (tookMs > plan.deadlineMs) counted.late += 1;
  else {
    counted.good += 1;
    counted.latencies.push(tookMs);
    const slice = Math.floor((performance.now() - phaseBegan) / plan.sliceMs);
    if (counted === current) counted.goodPerSlice[slice] = (counted.goodPerSlice[slice] ?? 0) + 1;
  }
}

function fail(counted: Counted, why: string): void {
  counted.failed += 1;
  counted.failures[why] = (counted.failures[why] ?? 0) + 1;
}

let phaseBegan = performance.now();
let current: Counted | undefined;

async function runPhase(rate: number, seconds: number): Promise<Counted> {
  const counted: Counted = {
    ...{ offered: 0, notSent: 0, good: 0, late: 0, refused: 0, failed: 0 },
    ...{ failures: {}, latencies: [], goodPerSlice: [] },
  };
  current = counted;
  phaseBegan = performance.now();
  const endsAt = phaseBegan + seconds * 1_000;
  while (performance.now() < endsAt) {
    const due = Math.floor(((performance.now() - phaseBegan) / 1_000) * rate);
    while (counted.offered < due) {
      const scheduledAt = phaseBegan + (counted.offered / rate) * 1_000;
      counted.offered += 1;
      const free = idle.pop() ?? (connections < plan.connections ? new Connection() : undefined);
      if (free) free.send(counted, scheduledAt);
      else counted.notSent += 1;
    }
    await new Promise((resolve) => void setTimeout(resolve, 1));
  }
  return counted;
}

function requestOf(i: number): Buffer {
  const text = 'a'.repeat(200 + (i % 64));
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id: i * 97,
    method: 'tools/call',
    params: { name: 'small', arguments: { text } },
  });
  const headers = Object.entries(plan.headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(
    `POST ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\nContent-Type: application/json\r\n` +
      `Accept: application/json, text/event-stream\r\n${headers.join('')}Content-Length: ${body.length}\r\n\r\n${body}`,
  );
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

const counts: Counted[] = [];
for (const { rate, seconds } of plan.phases) counts.push(await runPhase(rate, seconds));
// What is still under way has until its deadline.
await new Promise((resolve) => void setTimeout(resolve, plan.deadlineMs));
const phases = counts.map(({ latencies, ...counted }): PhaseResult => {
  const sorted = latencies.toSorted((a, b) => a - b);
  return { ...counted, p50Ms: quantile(sorted, 0.5), p99Ms: quantile(sorted, 0.99) };
});
const result: OpenLoopResult = { phases };
process.stdout.write(`RESULT ${JSON.stringify(result)}\n`);
process.exit();
