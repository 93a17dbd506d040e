import { legacyVersion, RawMcpClient } from '@signalbox/test-harness';

import { loadGenerator, type LoadResult, runLoad } from './load.ts';
import { otherCore } from './machine.ts';
import { cpuUs, residentBytes } from './process-cost.ts';
import type { Target } from './targets.ts';

/** A size of result; the names are tools of the upstream. */
export interface Size {
  readonly tool: 'small' | 'medium' | 'large';
  readonly title: string;
  /** Seconds of each measured round. */
  readonly seconds: number;
}

export const sizes: readonly Size[] = [
  { tool: 'small', title: '300 B result', seconds: 3 },
  { tool: 'medium', title: '32 KB result', seconds: 2 },
  { tool: 'large', title: '1 MB result', seconds: 2 },
];
export const connections = 32;
export const rounds = 3;
const argumentBytes = 1_024;
const warmUpSeconds = 2;

/** Medians over the rounds. */
export interface CallCost {
  readonly callsPerSecond: number;
  /** Processor time of the gateway, user and system, for a call; its inverse is the throughput of a full core. */
  readonly cpuUsPerCall: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly residentBytes: number;
  readonly bytesPerSecond: number;
  readonly failed: number;
}

/** Costs by target name and size. Targets take turns within each round, so that a noisy minute meets all of them. */
export async function measureCalls(
  targets: readonly Target[],
  token: string,
  say: (line: string) => void,
): Promise<ReadonlyMap<string, CallCost>> {
  say(`load: ${loadGenerator}`);
  const headers = new Map<string, Record<string, string>>();
  for (const target of targets) headers.set(target.name, await handshake(target, token));
  const costs = new Map<string, CallCost>();
  for (const size of sizes) {
    const samples = new Map<string, Sample[]>(targets.map(({ name }) => [name, []]));
    for (let round = 0; round < rounds; round += 1) {
      for (const target of targets) {
        const options = {
          url: target.url,
          tool: (target.prefix ?? '') + size.tool,
          argumentBytes,
          headers: headers.get(target.name) ?? {},
          connections,
          core: otherCore,
        };
        if (round === 0) await runLoad({ ...options, seconds: warmUpSeconds });
        const before = cpuUs(target.process.pid);
        const load = await runLoad({ ...options, seconds: size.seconds });
        const spent = cpuUs(target.process.pid) - before;
        samples.get(target.name)?.push({ load, cpuUs: spent, residentBytes: residentBytes(target.process.pid) });
      }
    }
    for (const { name } of targets) {
      const cost = summarize(samples.get(name) ?? []);
      costs.set(`${name}/${size.tool}`, cost);
      say(
        `${size.title.padEnd(13)} ${name.padEnd(10)} ${cost.callsPerSecond.toFixed(0).padStart(7)} calls/s ${cost.cpuUsPerCall.toFixed(1).padStart(8)} µs/call`,
      );
    }
  }
  return costs;
}

interface Sample {
  readonly load: LoadResult;
  readonly cpuUs: number;
  readonly residentBytes: number;
}

function summarize(samples: readonly Sample[]): CallCost {
  const median = (value: (sample: Sample) => number) => medianOf(samples.map(value));
  return {
    callsPerSecond: median(({ load }) => load.calls / (load.durationUs / 1e6)),
    cpuUsPerCall: median((sample) => sample.cpuUs / sample.load.calls),
    p50Us: median(({ load }) => load.p50Us),
    p99Us: median(({ load }) => load.p99Us),
    residentBytes: median((sample) => sample.residentBytes),
    bytesPerSecond: median(({ load }) => load.bytes / (load.durationUs / 1e6)),
    failed: samples.reduce((sum, { load }) => sum + load.failed, 0),
  };
}

export function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Opens a session and proves that the target answers every size correctly. @returns the headers of its calls. */
async function handshake(target: Target, token: string): Promise<Record<string, string>> {
  const client = new RawMcpClient({ url: target.url, token });
  const answer = await client.initialize();
  if (client.session === undefined)
    throw new Error(`${target.name} opened no session: ${answer.status} ${answer.text}`);
  for (const { tool } of sizes) {
    const message = await client.call((target.prefix ?? '') + tool, { text: 'a' });
    const content = (message.result?.['content'] as { text?: string }[] | undefined)?.[0]?.text ?? '';
    if (!/^x{150,}$/.test(content))
      throw new Error(`${target.name} answers ${tool} with ${JSON.stringify(message).slice(0, 300)}`);
  }
  client.close();
  return { authorization: `Bearer ${token}`, 'mcp-session-id': client.session, 'mcp-protocol-version': legacyVersion };
}
