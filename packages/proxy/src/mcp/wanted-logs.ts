import type { SseEvent } from '../http/sse.ts';
import { memberValue } from '../json/members.ts';
import type { Call } from './call.ts';
import { metaKeys } from './codec/rev2026-07-28.ts';

/**
 * Whether an event is a log message that its client has not asked for: on the modern era a request says from which level
 * on it wants any, and without that it wants none (MCP 2026-07-28, logging).
 */
export function isUnwantedLog({ era, message }: Call, { data }: SseEvent): boolean {
  if (era !== 'modern' || data === undefined || !data.includes(logMethod)) return false;
  const said = levelOf(data);
  if (said === undefined) return false;
  const span = message?.meta && memberValue(message.bytes, message.meta, metaKeys.logLevel);
  const wanted = span && message?.bytes.toString('utf8', span.start + 1, span.end - 1);
  return wanted === undefined || levels.indexOf(said) < levels.indexOf(wanted);
}

/** @returns undefined for what is no log message. */
function levelOf(data: string): string | undefined {
  try {
    const { method, params } = JSON.parse(data) as { method?: unknown; params?: { level?: unknown } };
    return method === logMethod ? String(params?.level) : undefined;
  } catch {
    return undefined;
  }
}

const logMethod = 'notifications/message';

/** The quietest first. */
const levels: readonly string[] = [
  ...['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'],
];
