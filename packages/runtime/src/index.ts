export { Backoff, type BackoffOptions } from './backoff.ts';
export { type Clock, systemClock } from './clock.ts';
export { removeDurably, writeDurably } from './durable-file.ts';
export { Latest } from './latest.ts';
export { Lifecycle, type Part } from './lifecycle.ts';
export { jsonLogger, type LogFields, type Logger, type LogLevel, logLevels } from './logger.ts';
export { type Counter, type Gauge, type Histogram, Metrics } from './metrics.ts';
export { requireProtection } from './plaintext.ts';
export { type Random, systemRandom } from './random.ts';
export { notRostered, Roster, type Rostered } from './roster.ts';
export { Secret } from './secret.ts';
export {
  choice,
  flag,
  type HostPort,
  hostPort,
  integer,
  readSettings,
  secret,
  type Setting,
  type Settings,
  SettingsError,
  text,
} from './settings.ts';
export { TlsFiles, type TlsFilesOptions, type TlsMaterial } from './tls-files.ts';
export { boundYoungSpace } from './young-space.ts';
