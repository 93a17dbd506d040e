import { type Handle, readProxySettings, type RunningProxy, runWorker, type ToWorker } from '@signalbox/proxy';
import { jsonLogger, SettingsError } from '@signalbox/runtime';

/**
 * A worker of `signalbox proxy --workers`, as its supervisor starts it. SIGTERM drains; so does SIGINT, without waiting for
 * load balancers. When the supervisor is gone, so is the worker.
 */
async function main(): Promise<void> {
  let proxy: RunningProxy | undefined;
  let stopping = false;
  const end = (inTime: boolean) => process.exit(inTime ? 0 : 1);
  const stop = (failed: boolean, acceptMs?: number) => {
    if (stopping || !proxy) process.exit(failed || stopping ? 1 : 0);
    stopping = true;
    void proxy.stop(undefined, acceptMs).then((inTime) => end(inTime && !failed));
  };
  process.on('disconnect', () => process.exit(1));
  process.on('SIGTERM', () => stop(false));
  process.on('SIGINT', () => stop(false, 0));
  try {
    const logger = jsonLogger(readProxySettings(process.env).logLevel);
    process.on('uncaughtException', (error) => {
      logger.error('an error was not caught; the node stops', { error: error.stack ?? String(error) });
      if (!stopping) stop(true);
    });
    proxy = await runWorker({ environment: process.env, channel, logger, onLeft: end });
  } catch (error) {
    process.stderr.write(`${error instanceof SettingsError ? error.message : String(error)}\n`);
    process.exit(1);
  }
}

const channel: Parameters<typeof runWorker>[0]['channel'] = {
  send: (message, handle) =>
    new Promise((resolve) => {
      if (process.send && process.connected) process.send(message, handle, {}, () => resolve());
      else resolve();
    }),
  onMessage: (listener) =>
    void process.on('message', (message, handle) => listener(message as ToWorker, handle as Handle | undefined)),
};

await main();
