import type { Logger } from '@signalbox/runtime';
import { type RunningProxy, startProxy } from '../compose.ts';
import { readProxySettings } from '../settings.ts';
import { GivenSockets } from './given-sockets.ts';
import type { StateAnswer, StateRequest } from '../nodes/between-workers/state-messages.ts';
import type { Handle, SupervisorChannel, ToWorker } from './messages.ts';
import type { Environment } from './worker-environment.ts';

export interface RunWorkerOptions {
  readonly environment: Environment;
  readonly channel: SupervisorChannel;
  readonly logger: Logger;
  /** Called when it has left its place to another and everybody was served. */
  readonly onLeft: (inTime: boolean) => void;
}

/**
 * Runs one worker: a proxy that gets listening sockets from the worker whose place it takes, shares state with the others
 * through their supervisor, and gives its sockets up when it is told to.
 * @throws as `startProxy` does.
 */
export async function runWorker(options: RunWorkerOptions): Promise<RunningProxy> {
  const { environment, channel, logger, onLeft } = options;
  const settings = readProxySettings(environment);
  const sockets = new GivenSockets(() => void channel.send({ type: 'prepared' }));
  let onAnswer: (answer: StateAnswer) => void = () => undefined;
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  channel.onMessage((message, handle) => {
    if (message.type === 'state') onAnswer(message.state);
    else if (message.type === 'release') release();
    else takeSocket(sockets, message, handle);
  });
  const state = {
    send: (request: StateRequest) => channel.send({ type: 'state', state: request }),
    onAnswer: (listener: typeof onAnswer) => void (onAnswer = listener),
  };
  const proxy = await startProxy({ settings, environment, logger, worker: { sockets, state } });
  void channel.send({ type: 'up', node: proxy.nodeId, adminUrl: proxy.adminUrl });
  void released.then(async () => {
    await proxy.handOver((address, socket) => channel.send({ type: 'socket', address }, socket));
    await channel.send({ type: 'released' });
    onLeft(await proxy.stop());
  });
  return proxy;
}

function takeSocket(
  sockets: GivenSockets,
  message: Exclude<ToWorker, { type: 'state' | 'release' }>,
  handle: Handle | undefined,
): void {
  switch (message.type) {
    case 'socket':
      return sockets.add(message.address, handle);
    case 'connection':
      return sockets.connection(message.address, handle);
    case 'given':
      return sockets.done();
  }
}
