import { integer, type Settings } from '@signalbox/runtime';
import { bound, ms } from '../setting-kinds.ts';
import type { OverloadLimits } from './overload.ts';

export const overloadSettings = {
  overloadCheck: bound(
    'SIGNALBOX_PROXY_OVERLOAD_CHECK',
    50,
    'How often a node looks at its memory, and answers requests that it has refused.',
    'ms',
  ),
  overloadDelay: bound(
    'SIGNALBOX_PROXY_OVERLOAD_DELAY',
    500,
    'How long a request may have waited for others in its turn of the event loop to be let in. Beyond: 503.',
    'ms',
  ),
  overloadMemory: integer({
    name: 'SIGNALBOX_PROXY_OVERLOAD_MEMORY',
    ...{ unit: '%', min: 1, max: 100, fallback: '90' },
    doc: 'Share of the JavaScript heap’s limit, and of the memory that the process may have (cgroup), above which fewer new requests are let in. The rest: 503.',
  }),
  maxCalls: bound(
    'SIGNALBOX_PROXY_MAX_CALLS',
    10_000,
    'Requests under way at a time, beside open streams. Beyond: 503.',
  ),
  overloadHold: ms(
    'SIGNALBOX_PROXY_OVERLOAD_HOLD',
    250,
    'How long a request that is refused for overload waits for its 503, so that clients that do not wait cost little.',
  ),
  maxOverloadHeld: bound(
    'SIGNALBOX_PROXY_OVERLOAD_HELD',
    10_000,
    'Requests that wait for their 503 at a time. More are answered at once.',
  ),
} as const;

export type OverloadSettings = Settings<typeof overloadSettings>;

export function overloadLimitsOf(settings: OverloadSettings): OverloadLimits {
  return {
    checkMs: settings.overloadCheck,
    delayMs: settings.overloadDelay,
    memoryShare: settings.overloadMemory / 100,
    calls: settings.maxCalls,
    holdMs: settings.overloadHold,
    held: settings.maxOverloadHeld,
  };
}
