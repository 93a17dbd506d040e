export { ConfigFileError } from './discovery/config-source.ts';
export type { OpenListener } from './listeners.ts';
export { type RunningProxy, startProxy, type StartProxyOptions } from './compose.ts';
export { proxySettings, type ProxySettings, readProxySettings } from './settings.ts';
export type {
  FromWorker,
  Handle,
  SpawnWorker,
  SupervisorChannel,
  ToWorker,
  WorkerProcess,
} from './workers/messages.ts';
export { runWorker } from './workers/run-worker.ts';
export { type RunningWorkers, startWorkers } from './workers/start-workers.ts';
