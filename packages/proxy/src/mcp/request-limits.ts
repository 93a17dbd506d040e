import { defaultHandleLimits, type HandleLimits } from '../handles/limits.ts';
import { type BridgeLimits, defaultBridgeLimits } from '../bridge/limits.ts';
import { defaultFederationLimits, type FederationLimits } from '../federation/limits.ts';
import { defaultToolSearchLimits, type ToolSearchLimits } from '../tool-search/limits.ts';
import { defaultNodesLimits, type NodesLimits } from '../nodes/limits.ts';
import { requestScanLimits, responseScanLimits, type ScanLimits } from '../json/scan.ts';

/** Every bound of the request path. Sizes in bytes, times in milliseconds. */
export interface RequestLimits {
  /** Request body. Beyond: 413. */
  readonly bodyBytes: number;
  readonly requestScan: ScanLimits;
  readonly responseScan: ScanLimits;
  /** Answers that must be seen whole (lists, initialize, discovery). Beyond: the request fails. */
  readonly heldAnswerBytes: number;
  /** JSON answers up to this size are sent at once with their exact length; larger ones pass through in pieces. */
  readonly wholeAnswerBytes: number;
  /** Lists of servers, and what callers saw of them, that are remembered, together. */
  readonly listMemoryBytes: number;
  /** One event of a stream from an upstream. Beyond: the stream fails. */
  readonly eventBytes: number;
  /** What may wait for a client that reads slowly, on one stream, before the stream is cut. */
  readonly streamBufferBytes: number;
  /** Bearer credential, before anything decodes it. */
  readonly tokenBytes: number;
  /** Verified tokens that are remembered, all routes together. */
  readonly verifiedTokens: number;
  /** How long a verified token is taken as verified; its own expiry comes first. */
  readonly verifiedTokenMs: number;
  /** Key sets of token issuers that are kept. */
  readonly keySets: number;
  readonly keySetBytes: number;
  readonly keySetKeys: number;
  /** Shortest time between two fetches of one key set. */
  readonly keySetRefetchMs: number;
  /** How long a fetched key set may serve without being fetched again. */
  readonly keySetFreshMs: number;
  /** How long a key set may serve when it cannot be fetched again. */
  readonly keySetStaleMs: number;
  /** Age at which a legacy session expires, however busy it is. */
  readonly sessionMs: number;
  /** How long a legacy session may go unused; 0: as long as it lives. */
  readonly sessionIdleMs: number;
  /** Sessions that went unused are ended at their servers too. */
  readonly endsIdleSessions: boolean;
  /** Opened session ids that are remembered. */
  readonly openedSessions: number;
  /** Ended sessions whose ids are remembered as ended. */
  readonly endedSessions: number;
  /** Requests of one session that can be cancelled at a time. */
  readonly inFlightPerSession: number;
  readonly connectMs: number;
  /** From the request to the head of the upstream's answer. */
  readonly headMs: number;
  /** Longest silence within an answer to the gateway's own requests: key sets, era probes. */
  readonly idleMs: number;
  /** A whole call, progress included. */
  readonly callMs: number;
  /** Life of a GET stream or a `subscriptions/listen`. */
  readonly streamMs: number;
  /** Silence after which a stream gets a comment line. */
  readonly keepAliveMs: number;
  /** Clients of a node that stops are told to come back after up to this long, each after another time. */
  readonly drainRetryMs: number;
  /** Age at which the verdict on an upstream's era is looked into again. */
  readonly eraHorizonMs: number;
  /** Backends whose era and tool names are remembered. */
  readonly backends: number;
  /** Tool names that are remembered of one backend. */
  readonly toolsPerBackend: number;
  /** Between clients and servers of different eras. */
  readonly bridge: BridgeLimits;
  readonly handles: HandleLimits;
  /** Clients of 2024-11-05 (HTTP+SSE) are served. */
  readonly httpSseClients: boolean;
  /** Of virtual servers of several members. */
  readonly federation: FederationLimits;
  /** Of virtual servers whose tools are found by search. */
  readonly toolSearch: ToolSearchLimits;
  /** Of what nodes share. */
  readonly nodes: NodesLimits;
  /** Allowances of rate limits that are remembered, all policies together. */
  readonly rateLimitBuckets: number;
  /** The card of an agent. Beyond: the request fails. */
  readonly cardBytes: number;
}

/** What a node uses unless its settings say otherwise. */
export const defaultRequestLimits: RequestLimits = Object.freeze({
  bodyBytes: 4_194_304,
  requestScan: requestScanLimits,
  responseScan: responseScanLimits,
  heldAnswerBytes: 16_777_216,
  wholeAnswerBytes: 65_536,
  listMemoryBytes: 33_554_432,
  eventBytes: 16_777_216,
  streamBufferBytes: 1_048_576,
  tokenBytes: 8_192,
  verifiedTokens: 10_000,
  verifiedTokenMs: 60_000,
  keySets: 1_000,
  keySetBytes: 262_144,
  keySetKeys: 50,
  keySetRefetchMs: 30_000,
  keySetFreshMs: 600_000,
  keySetStaleMs: 86_400_000,
  sessionMs: 43_200_000,
  sessionIdleMs: 1_800_000,
  endsIdleSessions: true,
  openedSessions: 20_000,
  endedSessions: 20_000,
  inFlightPerSession: 256,
  connectMs: 2_000,
  headMs: 60_000,
  idleMs: 60_000,
  callMs: 300_000,
  streamMs: 3_600_000,
  keepAliveMs: 15_000,
  drainRetryMs: 10_000,
  eraHorizonMs: 3_600_000,
  backends: 10_000,
  toolsPerBackend: 10_000,
  bridge: defaultBridgeLimits,
  handles: defaultHandleLimits,
  httpSseClients: false,
  federation: defaultFederationLimits,
  toolSearch: defaultToolSearchLimits,
  nodes: defaultNodesLimits,
  rateLimitBuckets: 100_000,
  cardBytes: 1_048_576,
});
