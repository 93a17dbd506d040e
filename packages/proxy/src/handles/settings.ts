import type { Settings } from '@signalbox/runtime';
import { bound } from '../setting-kinds.ts';
import { defaultHandleLimits, type HandleLimits } from './limits.ts';

const fallback = defaultHandleLimits;

/** What can be set about handles: part of the settings of a proxy. */
export const handleSettings = {
  requestStateTimeout: bound(
    'SIGNALBOX_PROXY_REQUEST_STATE_TIMEOUT',
    fallback.stateMs,
    'How long a requestState of a server of the modern era is taken back from its client.',
    'ms',
  ),
  maxRememberedTasks: bound(
    'SIGNALBOX_PROXY_MAX_REMEMBERED_TASKS',
    fallback.tasks,
    'Tasks whose clients a node remembers, to pass on what servers say of them unasked.',
  ),
} as const;

export function handleLimitsOf(settings: Settings<typeof handleSettings>): HandleLimits {
  return { stateMs: settings.requestStateTimeout, tasks: settings.maxRememberedTasks };
}
