import { pino } from 'pino';

/** Structured fields of a log line. Values are data: upstream text never becomes a format. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where a process says what happens to it. Not for requests: those are outcome events. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same logger with fields on every line. */
  child(fields: LogFields): Logger;
}

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** A logger that writes JSON lines to a file descriptor; standard error by default, so that output stays clean. */
export function jsonLogger(level: LogLevel, fileDescriptor = 2): Logger {
  const root = pino({ level, base: {}, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination(fileDescriptor));
  return wrap(root);
}

interface PinoLike {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  child(fields: LogFields): PinoLike;
}

function wrap(inner: PinoLike): Logger {
  return {
    debug: (message, fields = {}) => inner.debug(fields, message),
    info: (message, fields = {}) => inner.info(fields, message),
    warn: (message, fields = {}) => inner.warn(fields, message),
    error: (message, fields = {}) => inner.error(fields, message),
    child: (fields) => wrap(inner.child(fields)),
  };
}
