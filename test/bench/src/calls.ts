import { legacyVersion, RawMcpClient } from '@signalbox/test-harness';

import { loadGenerator } from './load.ts';
import { type CallCost, takeTurns } from './rounds.ts';
import type { Target } from './targets.ts';

/** A size of result; the names are tools of the upstream. */
export interface Size {
  readonly tool: 'small' | 'medium' | 'large';
  readonly title: string;
  /** Seconds of each measured round. */
  readonly seconds: number;
  /** Before the first round: code is still being compiled for some ten seconds of load, most of it in the first five. */
  readonly warmUpSeconds: number;
}

export const sizes: readonly Size[] = [
  { tool: 'small', title: '300 B result', seconds: 2, warmUpSeconds: 6 },
  { tool: 'medium', title: '32 KB result', seconds: 1, warmUpSeconds: 1 },
  { tool: 'large', title: '1 MB result', seconds: 1, warmUpSeconds: 1 },
];
export const rounds = 5;
const argumentBytes = 1_024;

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
    const measured = targets.map(({ name, prefix = '', url, process }) => ({
      name,
      pid: process.pid,
      load: { url, tool: prefix + size.tool, argumentBytes, headers: headers.get(name) ?? {} },
    }));
    const taken = await takeTurns(measured, { rounds, seconds: size.seconds, warmUpSeconds: size.warmUpSeconds });
    for (const { name } of targets) {
      const cost = taken.get(name) as CallCost;
      costs.set(`${name}/${size.tool}`, cost);
      say(
        `${size.title.padEnd(13)} ${name.padEnd(10)} ${cost.callsPerSecond.toFixed(0).padStart(7)} calls/s ${cost.cpuUsPerCall.toFixed(1).padStart(8)} µs/call`,
      );
    }
  }
  return costs;
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
