import type { Clock, Metrics } from '@signalbox/runtime';
import type { ClientCertificates } from './client-certificates.ts';
import { endpointOf } from './endpoint.ts';
import { Http1Client, type Http1ClientLimits } from './http1-client.ts';
import { Http2Client, type Http2ClientLimits } from './http2-client.ts';
import { Negotiation, type NegotiationContext } from './negotiation.ts';
import { Pools } from './pools.ts';
import { upstreamTls } from './upstream-tls.ts';
import type { Upstream, UpstreamExchange, UpstreamHandler, UpstreamRequest } from './upstream.ts';

export interface HttpClientOptions {
  readonly http1: Http1ClientLimits;
  readonly http2: Http2ClientLimits;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Certificates that backends are shown; none without it. */
  readonly certificates?: ClientCertificates;
}

/** The `Upstream` port: each backend in the version of HTTP that it is declared to speak, or agrees on in its handshake. */
export class HttpClient implements Upstream {
  readonly #http1: Http1Client;
  readonly #http2: Http2Client;
  readonly #certificates: ClientCertificates | undefined;
  /** Of endpoints whose handshake decides. */
  readonly #negotiations: Pools<Negotiation>;
  readonly #negotiating: NegotiationContext;
  #closed = false;

  constructor({ http1, http2, ...options }: HttpClientOptions) {
    const onEmptied = (poolKey: string, origin: string) => this.#negotiations.find(poolKey, origin)?.closeIdle();
    this.#http1 = new Http1Client({ ...options, limits: http1, onEmptied });
    this.#http2 = new Http2Client({ ...options, limits: http2, onEmptied });
    this.#certificates = options.certificates;
    this.#negotiations = new Pools(http1.maxPools);
    this.#negotiating = {
      deadlines: this.#http2.deadlines,
      maxWaiting: http1.maxWaiting,
      clientFor: (protocol) => (protocol === 'h2' ? this.#http2 : this.#http1),
      forget: (negotiation) => void this.#negotiations.remove(negotiation),
    };
  }

  /** @throws TypeError for text in the request that would break out of its place, and for an origin that is none. */
  dispatch(request: UpstreamRequest, handler: UpstreamHandler): UpstreamExchange {
    switch (request.peer?.http) {
      case undefined:
      case 'http1':
        return this.#http1.dispatch(request, handler);
      case 'http2':
        return this.#http2.dispatch(request, handler);
      case 'negotiated':
        return this.#negotiated(request, handler);
    }
  }

  retain(origins: ReadonlySet<string>): void {
    this.#http1.retain(origins);
    this.#http2.retain(origins);
  }

  /** Breaks off what is under way; requests that come later fail. */
  close(): void {
    this.#closed = true;
    for (const negotiation of this.#negotiations.all()) negotiation.close();
    this.#http1.close();
    this.#http2.close();
  }

  #negotiated(request: UpstreamRequest, handler: UpstreamHandler): UpstreamExchange {
    const known = this.#negotiations.find(request.poolKey, request.origin);
    if (known?.protocol !== undefined) return this.#negotiating.clientFor(known.protocol).dispatch(request, handler);
    const negotiation = known ?? this.#negotiate(request);
    return negotiation ? negotiation.add(request, handler) : this.#http1.dispatch(request, handler);
  }

  #negotiate(request: UpstreamRequest): Negotiation | undefined {
    if (this.#closed || !this.#negotiations.hasRoom()) return undefined;
    const endpoint = endpointOf(request.origin, upstreamTls(request.peer, this.#certificates));
    return this.#negotiations.add(new Negotiation(this.#negotiating, request, endpoint));
  }
}
