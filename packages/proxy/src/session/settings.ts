import { defaultRequestLimits as request } from '../mcp/request-limits.ts';
import { bytes, count, ms } from '../setting-kinds.ts';

/** Of who calls: tokens and the keys that they are verified with. */
export const identitySettings = {
  maxVerifiedTokens: count(
    'SIGNALBOX_PROXY_MAX_VERIFIED_TOKENS',
    request.verifiedTokens,
    'Verified tokens that are remembered.',
  ),
  verifiedTokenAge: ms(
    'SIGNALBOX_PROXY_VERIFIED_TOKEN_AGE',
    request.verifiedTokenMs,
    'How long a token is taken as verified; its own expiry comes first.',
  ),
  maxKeySets: count('SIGNALBOX_PROXY_MAX_KEY_SETS', request.keySets, 'Key sets of token issuers that are kept.'),
  maxKeySetBytes: bytes(
    'SIGNALBOX_PROXY_MAX_KEY_SET_BYTES',
    request.keySetBytes,
    'One key set. A larger one is refused.',
  ),
  maxKeySetKeys: count(
    'SIGNALBOX_PROXY_MAX_KEY_SET_KEYS',
    request.keySetKeys,
    'Keys of a key set. One with more is refused.',
  ),
  keySetRefetch: ms(
    'SIGNALBOX_PROXY_KEY_SET_REFETCH',
    request.keySetRefetchMs,
    'Shortest time between two fetches of a key set.',
  ),
  keySetFresh: ms(
    'SIGNALBOX_PROXY_KEY_SET_FRESH',
    request.keySetFreshMs,
    'How long a key set serves without being fetched again.',
  ),
  keySetStale: ms(
    'SIGNALBOX_PROXY_KEY_SET_STALE',
    request.keySetStaleMs,
    'How long a key set serves when it cannot be fetched.',
  ),
} as const;
