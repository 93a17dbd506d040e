import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Before anything else is loaded: half of what a start costs is reading the program.
enableCompileCache(join(import.meta.dirname, '..', '..', '..', 'node_modules', '.cache', 'compile'));
const { jsonLogger, readSettings } = await import('@signalbox/runtime');
const { startControlPlane } = await import('./compose.ts');
const { controlPlaneSettings } = await import('./settings.ts');

const settings = readSettings(controlPlaneSettings, process.env);
const running = await startControlPlane({ settings, logger: jsonLogger(settings.logLevel) });
if (running.operatorToken) {
  process.stdout.write(`operator token, shown only now: ${running.operatorToken.reveal()}\n`);
}

const stop = () => {
  running.stop().then(
    (inTime) => process.exit(inTime ? 0 : 1),
    () => process.exit(1),
  );
};
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
