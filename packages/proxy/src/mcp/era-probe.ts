import type { Clock, Logger, Random } from '@signalbox/runtime';
import { type Collected, collect } from '../upstream/collect.ts';
import type { Upstream, UpstreamRequest } from '../upstream/upstream.ts';
import type { Era } from './codec/codec.ts';
import { isModernVersion, metaKeys, modernCodec } from './codec/rev2026-07-28.ts';
import type { BackendPlace } from './endpoint.ts';
import { codes } from './errors.ts';
import type { RequestLimits } from './request-limits.ts';

export interface EraProbeOptions {
  readonly upstream: Upstream;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits: RequestLimits;
}

/** Takes the verdict; undefined when the upstream gave no evidence: it could not be reached, or it failed. */
export type OnVerdict = (era: Era | undefined) => void;

interface Verdict {
  era: Era | undefined;
  /** Monotonic time of the last evidence. */
  at: number;
  waiting: OnVerdict[] | undefined;
}

/**
 * Whether upstreams speak the modern era. A modern request is tried first. Only what an upstream
 * says about itself counts: 401, 403, 5xx and silence are no evidence. A verdict serves until the horizon, then it is
 * looked into again while it goes on serving; a stale one for the legacy era would otherwise succeed for ever.
 */
export class EraProbe {
  readonly #options: EraProbeOptions;
  /** By backend key. */
  readonly #verdicts = new Map<string, Verdict>();

  constructor(options: EraProbeOptions) {
    this.#options = options;
  }

  /** The verdict, when there is one. Starts another probe when it is past the horizon. */
  known(endpoint: BackendPlace): Era | undefined {
    // That transport has no other era.
    if (endpoint.backend.transport === 'http-sse') return 'legacy';
    const verdict = this.#verdicts.get(endpoint.backend.key);
    if (verdict?.era === undefined) return undefined;
    const age = this.#options.clock.monotonic() - verdict.at;
    if (age > this.#options.limits.eraHorizonMs && !verdict.waiting) this.#probe(endpoint, verdict);
    return verdict.era;
  }

  /** Probes an upstream that has no verdict; all who ask meanwhile wait for the same answer. */
  find(endpoint: BackendPlace, onVerdict: OnVerdict): void {
    const verdict = this.#verdictOf(endpoint.backend.key);
    if (verdict.waiting) verdict.waiting.push(onVerdict);
    else this.#probe(endpoint, verdict, onVerdict);
  }

  /** The upstream answered like one of another era: the next request probes again. */
  doubt(endpoint: BackendPlace): void {
    const verdict = this.#verdicts.get(endpoint.backend.key);
    if (verdict) verdict.era = undefined;
  }

  #verdictOf(key: string): Verdict {
    const known = this.#verdicts.get(key);
    if (known) return known;
    const oldest = this.#verdicts.keys().next();
    if (this.#verdicts.size >= this.#options.limits.backends && !oldest.done) this.#verdicts.delete(oldest.value);
    const added: Verdict = { era: undefined, at: 0, waiting: undefined };
    this.#verdicts.set(key, added);
    return added;
  }

  #probe(endpoint: BackendPlace, verdict: Verdict, ...waiting: OnVerdict[]): void {
    verdict.waiting = waiting;
    void this.#ask(endpoint).then((era) => {
      verdict.era = era ?? verdict.era;
      // Without evidence an old verdict serves for another horizon: failing upstreams are not asked at every request.
      verdict.at = this.#options.clock.monotonic();
      const told = verdict.waiting ?? [];
      verdict.waiting = undefined;
      for (const onVerdict of told) onVerdict(era);
    });
  }

  async #ask(endpoint: BackendPlace): Promise<Era | undefined> {
    const { upstream, limits, logger, random } = this.#options;
    const id = `"probe-${random.bytes(6).toString('base64url')}"`;
    const outcome = await collect(upstream, probeRequest(endpoint, id, limits), limits.heldAnswerBytes);
    const era = 'failure' in outcome ? undefined : eraOfAnswer(outcome.answer);
    const reason = 'failure' in outcome ? outcome.failure : `status ${outcome.answer.head.status}`;
    const { tenant, name: backend } = endpoint.backend;
    logger.debug('probed the era of an upstream', {
      tenant,
      backend,
      era: era ?? 'unknown',
      reason,
    });
    return era;
  }
}

function probeRequest(endpoint: BackendPlace, id: string, limits: RequestLimits): UpstreamRequest {
  const [version] = modernCodec.versions;
  const meta = {
    [metaKeys.protocolVersion]: version,
    [metaKeys.clientCapabilities]: {},
    [metaKeys.clientInfo]: { name: 'signalbox', version: '0' },
  };
  const params = JSON.stringify({ _meta: meta });
  const { connectMs, headMs, idleMs } = limits;
  return {
    ...{ origin: endpoint.origin, poolKey: endpoint.backend.key, peer: endpoint.backend },
    ...{ method: 'POST', target: endpoint.target },
    headers: [
      ...['Content-Type', 'application/json', 'Accept', 'application/json, text/event-stream'],
      ...['MCP-Protocol-Version', version as string, 'Mcp-Method', 'server/discover'],
    ],
    body: Buffer.from(`{"jsonrpc":"2.0","id":${id},"method":"server/discover","params":${params}}`),
    safeToResend: true,
    timeouts: { connectMs, headMs, idleMs, totalMs: headMs },
  };
}

/** What an answer to the probe says about the era. Pure. */
function eraOfAnswer(answer: Collected): Era | undefined {
  const { status } = answer.head;
  if (status === 401 || status === 403 || status === 408 || status === 429 || status >= 500) return undefined;
  const message = messageOf(answer);
  if (status === 200) return message && speaksModern(message.result?.supportedVersions) ? 'modern' : 'legacy';
  if (message?.error?.code === codes.unsupportedVersion) {
    return speaksModern(message.error.data?.supported) ? 'modern' : 'legacy';
  }
  const modernOnly: readonly unknown[] = [codes.headerMismatch, codes.missingCapability];
  return modernOnly.includes(message?.error?.code) ? 'modern' : 'legacy';
}

function speaksModern(versions: unknown): boolean {
  return Array.isArray(versions) && versions.some((one) => typeof one === 'string' && isModernVersion(one));
}

interface ProbeMessage {
  readonly result?: { readonly supportedVersions?: unknown };
  readonly error?: { readonly code?: unknown; readonly data?: { readonly supported?: unknown } };
}

/** The answer's JSON-RPC message, from JSON or from the last event of a stream. */
function messageOf(answer: Collected): ProbeMessage | undefined {
  const text = answer.body.toString('utf8');
  const isStream = answer.head.header('content-type')?.startsWith('text/event-stream') === true;
  const json = isStream ? lastData(text) : text;
  try {
    const value = JSON.parse(json) as unknown;
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function lastData(stream: string): string {
  const lines = stream.split(/\r\n|\n|\r/).filter((line) => line.startsWith('data:'));
  return lines.at(-1)?.slice('data:'.length) ?? '';
}
