import type { Settings } from '@signalbox/runtime';
import { bound } from '../setting-kinds.ts';
import { defaultFederationLimits, type FederationLimits } from './limits.ts';

const fallback = defaultFederationLimits;

/** What can be set about virtual servers of several members: part of the settings of a proxy. */
export const federationSettings = {
  fanOutTimeout: bound(
    'SIGNALBOX_PROXY_FAN_OUT_TIMEOUT',
    fallback.fanOutMs,
    'How long the members of a virtual server may take to answer what all are asked: initialize, discovery, lists.',
    'ms',
  ),
  memberFailures: bound(
    'SIGNALBOX_PROXY_MEMBER_FAILURES',
    fallback.breakerFailures,
    'Failures in a row after which a member of a virtual server is left alone.',
  ),
  memberBreak: bound(
    'SIGNALBOX_PROXY_MEMBER_BREAK',
    fallback.breakerMs,
    'How long it is left alone before one request tries it again.',
    'ms',
  ),
  changeGather: bound(
    'SIGNALBOX_PROXY_CHANGE_GATHER',
    fallback.changeGatherMs,
    'How long list_changed notifications of several members are gathered into one.',
    'ms',
  ),
  changeSpacing: bound(
    'SIGNALBOX_PROXY_CHANGE_SPACING',
    fallback.changeSpacingMs,
    'Shortest time between two list_changed notifications of one kind that one member causes on a stream.',
    'ms',
  ),
  memberStreamRetry: bound(
    'SIGNALBOX_PROXY_MEMBER_STREAM_RETRY',
    fallback.reopenMs,
    'First wait before the stream of a member that ended is opened again. It doubles, up to 30 times as long.',
    'ms',
  ),
  memberNamesAge: bound(
    'SIGNALBOX_PROXY_MEMBER_NAMES_AGE',
    fallback.namesMs,
    'How long it is remembered which names members without prefix have. What they say about changes ends it at once.',
    'ms',
  ),
  maxMemberNamesPages: bound(
    'SIGNALBOX_PROXY_MAX_MEMBER_NAMES_PAGES',
    fallback.namesPages,
    'Pages of a list that are read to learn these names.',
  ),
  maxMemberCursor: bound(
    'SIGNALBOX_PROXY_MAX_MEMBER_CURSOR',
    fallback.cursorLength,
    'Cursor of a member’s list. A list with a longer one is cut off there.',
    'characters',
  ),
  maxClientCapabilities: bound(
    'SIGNALBOX_PROXY_MAX_CLIENT_CAPABILITIES',
    fallback.capabilitiesBytes,
    'Capabilities of a client that members are told of. Larger ones are taken as none.',
    'bytes',
  ),
  maxMemberSubscriptions: bound(
    'SIGNALBOX_PROXY_MAX_MEMBER_SUBSCRIPTIONS',
    fallback.subscriptions,
    'Resource subscriptions of a session that are made again at a member that has lost the session.',
  ),
} as const;

export function federationLimitsOf(settings: Settings<typeof federationSettings>): FederationLimits {
  return {
    fanOutMs: settings.fanOutTimeout,
    breakerFailures: settings.memberFailures,
    breakerMs: settings.memberBreak,
    changeGatherMs: settings.changeGather,
    changeSpacingMs: settings.changeSpacing,
    reopenMs: settings.memberStreamRetry,
    namesMs: settings.memberNamesAge,
    namesPages: settings.maxMemberNamesPages,
    cursorLength: settings.maxMemberCursor,
    capabilitiesBytes: settings.maxClientCapabilities,
    subscriptions: settings.maxMemberSubscriptions,
  };
}
