import type { AdsServerLimits, StreamGrant } from '../ads-server.ts';

/** Small bounds, so that tests reach them. */
export const testServerLimits: AdsServerLimits = {
  maxTypesPerStream: 8,
  maxNamesPerStream: 100,
  maxStreams: 100,
  streamsPerSecond: 100,
  streamBurst: 1_000,
  maxRequestBytes: 64 * 1024,
  maxResponseBytes: 8 * 1024,
  maxStreamAgeMs: 3_600_000,
  streamAgeJitter: 0.1,
  streamAgeGraceMs: 10_000,
  handshakeTimeoutMs: 5_000,
  authenticationCheckMs: 30_000,
  lateRemovalMs: 5_000,
  answerTimeoutMs: 60_000,
  keepaliveIntervalMs: 10_000,
  keepaliveTimeoutMs: 5_000,
};

/** A credential that sees the named collections, or all. */
export function testGrant(collections: StreamGrant['collections'] = 'all'): StreamGrant {
  return { identity: { credentialId: 'credential', name: 'test credential' }, family: 'test', collections };
}
