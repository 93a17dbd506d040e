import { jsonLogger, readSettings } from '@signalbox/runtime';

import { startControlPlane } from './compose.ts';
import { controlPlaneSettings } from './settings.ts';

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
