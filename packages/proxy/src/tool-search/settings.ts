import type { Settings } from '@signalbox/runtime';
import { bound } from '../setting-kinds.ts';
import { defaultToolSearchLimits, type ToolSearchLimits } from './limits.ts';

const fallback = defaultToolSearchLimits;

/** What can be set about tool search: part of the settings of a proxy. */
export const toolSearchSettings = {
  toolSearchAge: bound(
    'SIGNALBOX_PROXY_TOOL_SEARCH_AGE',
    fallback.listMs,
    'How long search looks through the tools of a member as it listed them before. What it says about changes ends it at once.',
    'ms',
  ),
  maxToolSearchPages: bound(
    'SIGNALBOX_PROXY_MAX_TOOL_SEARCH_PAGES',
    fallback.listPages,
    'Pages of a member’s list of tools that search looks through.',
  ),
  maxToolSearchLists: bound(
    'SIGNALBOX_PROXY_MAX_TOOL_SEARCH_LISTS',
    fallback.lists,
    'Lists of tools that are remembered for search: of each member, for each caller. What was used longest ago gives way.',
  ),
  maxToolSearchBytes: bound(
    'SIGNALBOX_PROXY_MAX_TOOL_SEARCH_BYTES',
    fallback.listBytes,
    'Such lists all together.',
    'bytes',
  ),
} as const;

export function toolSearchLimitsOf(settings: Settings<typeof toolSearchSettings>, sliceMs: number): ToolSearchLimits {
  return {
    listMs: settings.toolSearchAge,
    listPages: settings.maxToolSearchPages,
    lists: settings.maxToolSearchLists,
    listBytes: settings.maxToolSearchBytes,
    sliceMs,
  };
}
