export { ConfigFileError } from './discovery/config-source.ts';
export type { OpenListener } from './listeners.ts';
export { type RunningProxy, startProxy, type StartProxyOptions } from './compose.ts';
export { proxySettings, type ProxySettings, readProxySettings } from './settings.ts';
