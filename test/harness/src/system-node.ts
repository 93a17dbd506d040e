import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { OutcomeEvent } from '@signalbox/audit';
import { readProxySettings, type RunningProxy, startProxy } from '@signalbox/proxy';
import { type Clock, jsonLogger, type Logger } from '@signalbox/runtime';

import { httpCodecSettings } from './http-codec.ts';
import { until } from './until.ts';

/** One proxy of a system, in this process. */
export interface SystemNode {
  readonly id: string;
  readonly proxy: RunningProxy;
  /** Give it to another node to make that one the same node after a restart. */
  readonly stateFolder: string;
  readonly stopped: () => boolean;
  /** URL of an MCP endpoint on this node. */
  endpoint(tenant: string, route: string): string;
  /** Outcome events on disk so far. */
  events(): Promise<readonly OutcomeEvent[]>;
  /** Stops without waiting for clients to leave, or in order within a time, in milliseconds. */
  stop(deadlineMs?: number): Promise<void>;
}

export interface SystemNodeOptions {
  readonly id: string;
  readonly stateFolder: string;
  /** `SIGNALBOX_*` variables on top of those of every test node. */
  readonly settings: Readonly<Record<string, string>>;
  readonly logger: Logger;
  readonly clock?: Clock | undefined;
}

/** Time that a node of a test has to stop, in milliseconds: clients of tests do not leave by themselves. */
const stopMs = 300;

export async function startSystemNode(options: SystemNodeOptions): Promise<SystemNode> {
  const { id, stateFolder, logger, clock } = options;
  const settings = readProxySettings({
    SIGNALBOX_PROXY_NODE_ID: id,
    SIGNALBOX_PROXY_STATE: stateFolder,
    SIGNALBOX_PROXY_LISTEN: '127.0.0.1:0',
    SIGNALBOX_PROXY_ADMIN_LISTEN: '127.0.0.1:0',
    // Tests restart control planes and want nodes back at once.
    SIGNALBOX_PROXY_DISCOVERY_BACKOFF_MIN: '10',
    SIGNALBOX_PROXY_DISCOVERY_BACKOFF_MAX: '200',
    // Servers of tests count who asks them.
    SIGNALBOX_PROXY_CATALOG: 'false',
    ...httpCodecSettings(),
    ...options.settings,
  });
  const proxy = await startProxy({
    ...{ settings, environment: process.env, logger: logger.child({ node: id }) },
    ...(clock && { clock }),
  });
  let stopped = false;
  return {
    id,
    proxy,
    stateFolder,
    stopped: () => stopped,
    endpoint: (tenant, route) => {
      const listener = proxy.listeners()[0];
      if (!listener) throw new Error(`node ${id} listens nowhere: its gateway has not arrived`);
      return `http://127.0.0.1:${listener.port}/${tenant}/${route}/mcp`;
    },
    events: () => readEvents(join(stateFolder, 'events.jsonl')),
    stop: async (deadlineMs = stopMs) => {
      stopped = true;
      await proxy.stop(deadlineMs, 0);
    },
  };
}

/** A node in this process that serves a file or folder of resources and hears of no control plane. */
export async function startFileNode(
  config: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<SystemNode> {
  const stateFolder = await mkdtemp(join(tmpdir(), 'signalbox-node-'));
  const node = await startSystemNode({
    ...{ id: 'file', stateFolder, logger: jsonLogger('silent') },
    settings: { SIGNALBOX_PROXY_CONFIG: config, ...settings },
  });
  await nodeListens(node);
  return {
    ...node,
    stop: async () => {
      await node.stop();
      await rm(stateFolder, { recursive: true, force: true });
    },
  };
}

/** Waits until the node has a table and its sockets. */
export function nodeListens(node: SystemNode): Promise<true> {
  return until(`node ${node.id} to listen`, () => (node.proxy.listeners().length > 0 ? true : undefined));
}

/** Outcome events of a file, one JSON object a line; none when there is no file. */
export async function readEvents(file: string): Promise<readonly OutcomeEvent[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const complete = text.slice(0, text.lastIndexOf('\n') + 1);
  return complete
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as OutcomeEvent);
}
