import type { Settings } from '@signalbox/runtime';
import { bound } from '../setting-kinds.ts';
import { type BridgeLimits, defaultBridgeLimits } from './limits.ts';

const fallback = defaultBridgeLimits;

/** What can be set about clients and servers of different eras: part of the settings of a proxy. */
export const bridgeSettings = {
  maxInputRounds: bound(
    'SIGNALBOX_PROXY_MAX_INPUT_ROUNDS',
    fallback.rounds,
    'How often a server of the modern era may ask a legacy client for input within one call.',
  ),
  inputTimeout: bound(
    'SIGNALBOX_PROXY_INPUT_TIMEOUT',
    fallback.answerMs,
    'How long the client may take to answer each time.',
    'ms',
  ),
  maxBridgedSessions: bound(
    'SIGNALBOX_PROXY_MAX_BRIDGED_SESSIONS',
    fallback.sessions,
    'Sessions of legacy clients at servers of the modern era whose log level and subscriptions are remembered.',
  ),
  maxBridgedSubscriptions: bound(
    'SIGNALBOX_PROXY_MAX_BRIDGED_SUBSCRIPTIONS',
    fallback.subscriptions,
    'Resources that one such session may subscribe to.',
  ),
  parkedTimeout: bound(
    'SIGNALBOX_PROXY_PARKED_TIMEOUT',
    fallback.parkedMs,
    'How long a call of a modern client at a legacy server waits for the input that the server asks for.',
    'ms',
  ),
  maxParkedCalls: bound(
    'SIGNALBOX_PROXY_MAX_PARKED_CALLS',
    fallback.parked,
    'Such calls that may wait at a time. One more is cancelled.',
  ),
  inputGather: bound(
    'SIGNALBOX_PROXY_INPUT_GATHER',
    fallback.gatherMs,
    'How long questions of a server that come together are gathered into one round.',
    'ms',
  ),
  sharedSessionIdle: bound(
    'SIGNALBOX_PROXY_SHARED_SESSION_IDLE',
    fallback.idleMs,
    'Silence after which a session at a legacy server that requests of modern clients share is ended.',
    'ms',
  ),
  maxHttpSseSessions: bound(
    'SIGNALBOX_PROXY_MAX_HTTP_SSE_SESSIONS',
    fallback.connections,
    'Sessions at servers of HTTP+SSE (2024-11-05), each with a stream of its own. One more ends the oldest.',
  ),
} as const;

export function bridgeLimitsOf(settings: Settings<typeof bridgeSettings>): BridgeLimits {
  return {
    rounds: settings.maxInputRounds,
    answerMs: settings.inputTimeout,
    sessions: settings.maxBridgedSessions,
    subscriptions: settings.maxBridgedSubscriptions,
    parkedMs: settings.parkedTimeout,
    parked: settings.maxParkedCalls,
    gatherMs: settings.inputGather,
    idleMs: settings.sharedSessionIdle,
    connections: settings.maxHttpSseSessions,
  };
}
