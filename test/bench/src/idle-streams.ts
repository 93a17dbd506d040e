import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { type JwtIssuer, RawMcpClient } from '@signalbox/test-harness';

import { runLoad } from './load.ts';
import { otherCore } from './machine.ts';
import { startProbe } from './probe.ts';
import { proxyResources } from './proxy-config.ts';
import { temporaryFolder } from './targets.ts';

export interface IdleStreamCost {
  readonly streams: number;
  readonly residentBytesPerStream: number;
  readonly heapBytesPerStream: number;
  /** Of the whole process with all of them open. */
  readonly residentBytes: number;
}

/** Opened first, with calls beside them, so that what is there once for all streams (code, young generation) is not counted. */
const warmUp = 500;
const warmUpSeconds = 4;
const atOnce = 50;

/**
 * Memory of the proxy for each open legacy GET stream: a session, a client's connection and an upstream's connection.
 * @param sizes sessions beyond the number of streams have none, and count as memory of the streams.
 */
export async function measureIdleStreams(
  upstreamUrl: string,
  issuer: JwtIssuer,
  { streams = 5_000, sessions = streams }: { readonly streams?: number; readonly sessions?: number } = {},
): Promise<IdleStreamCost> {
  const file = join(temporaryFolder(), 'signalbox.yaml');
  writeFileSync(file, proxyResources(upstreamUrl, issuer));
  const probe = await startProbe({
    SIGNALBOX_PROXY_CONFIG: file,
    SIGNALBOX_PROXY_MAX_UPSTREAM_CONNECTIONS: '20000',
    SIGNALBOX_PROXY_MAX_CONNECTIONS: '20000',
  });
  try {
    const token = await issuer.token('bench');
    const url = `http://127.0.0.1:${probe.port}/bench/tools/mcp`;
    const open = (count: number) => openSessions(url, token, { streams: count, sessions: count });
    await open(warmUp);
    await makeCalls(probe.port, token);
    const before = await probe.collectedStats();
    await openSessions(url, token, { streams, sessions });
    const after = await probe.collectedStats();
    return {
      streams,
      residentBytesPerStream: (after.residentBytes - before.residentBytes) / streams,
      heapBytesPerStream: (after.heapBytes - before.heapBytes) / streams,
      residentBytes: after.residentBytes,
    };
  } finally {
    await probe.process.stop();
  }
}

async function makeCalls(port: number, token: string): Promise<void> {
  const url = `http://127.0.0.1:${port}/bench/tools/mcp`;
  const client = new RawMcpClient({ url, token });
  await client.initialize();
  const headers = { authorization: `Bearer ${token}`, 'mcp-session-id': client.session ?? '' };
  const load = { connections: 32, seconds: warmUpSeconds, core: otherCore };
  await runLoad({ url, tool: 'small', argumentBytes: 1_024, headers, ...load });
  client.close();
}

async function openSessions(
  url: string,
  token: string,
  { streams, sessions }: { readonly streams: number; readonly sessions: number },
): Promise<void> {
  let opened = 0;
  const openSome = async () => {
    while (opened < sessions) {
      opened += 1;
      const hasStream = opened <= streams;
      const client = new RawMcpClient({ url, token });
      await client.initialize();
      if (hasStream) {
        const { stream, status, text } = await client.get();
        if (!stream) throw new Error(`no stream: ${status} ${text}`);
      }
      client.closeIdle();
    }
  };
  await Promise.all(Array.from({ length: atOnce }, openSome));
}
