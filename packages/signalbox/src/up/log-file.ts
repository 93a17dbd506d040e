import { openSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { jsonLogger, type Logger, type LogLevel } from '@signalbox/runtime';

/** A log larger than this at the start makes room for a new one; one old one is kept. In bytes. */
const rotateAt = 10 * 1024 * 1024;

/** The log of all parts, in the data folder: the terminal is for people. */
export function logToFile(dataDir: string, level: LogLevel): Logger {
  const path = join(dataDir, 'up.log');
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > rotateAt) renameSync(path, `${path}.1`);
  return jsonLogger(level, openSync(path, 'a', 0o600));
}
