// A control plane that can be looked into: started like the real one, from its settings. Asked for its memory it collects
// garbage first, if it may.
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

enableCompileCache(join(import.meta.dirname, '..', '..', '..', 'node_modules', '.cache', 'compile'));
const { controlPlaneSettings, startControlPlane } = await import('@signalbox/control-plane');
const { jsonLogger, readSettings } = await import('@signalbox/runtime');

/** The first message of the process. */
export interface ControlPlaneReady {
  readonly apiUrl: string;
  readonly port: number;
  /** On the first start with a database. */
  readonly operatorToken: string | undefined;
}

export interface ControlPlaneMemory {
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
}

const settings = readSettings(controlPlaneSettings, process.env);
const running = await startControlPlane({ settings, logger: jsonLogger(settings.logLevel) });
const ready: ControlPlaneReady = {
  apiUrl: running.apiUrl,
  port: running.discoveryAddress.port,
  operatorToken: running.operatorToken?.reveal(),
};
process.send?.(ready);

process.on('message', (request: 'memory' | 'collected memory') => {
  if (request === 'collected memory') globalThis.gc?.({ type: 'major', execution: 'sync' });
  const { rss, heapUsed, external } = process.memoryUsage();
  const memory: ControlPlaneMemory = { residentBytes: rss, heapBytes: heapUsed, externalBytes: external };
  process.send?.(memory);
});
const stop = () => void running.stop(1_000).then(() => process.exit());
process.on('SIGTERM', stop);
process.on('disconnect', stop);
