import type { Random } from '@signalbox/runtime';
import type { Exchange, RequestHead } from '../http/exchange.ts';
import type { Call } from '../mcp/call.ts';
import type { RouteState } from '../mcp/route-state.ts';
import type { Credential } from '../session/credential.ts';
import { PostedExchange } from './posted-exchange.ts';
import { SseClient } from './sse-client.ts';

/**
 * Clients of 2024-11-05 that are connected to this node, by the name in their endpoint. They are served where a setting says
 * so; to the phases their messages are those of any client with a session. Bounded as open streams are.
 */
export class SseClients {
  readonly enabled: boolean;
  readonly #random: Random;
  readonly #clients = new Map<string, SseClient>();

  constructor(enabled: boolean, random: Random) {
    this.enabled = enabled;
    this.#random = random;
  }

  /** The exchange as phases see it: a POST to an endpoint that is known here belongs to its client. */
  exchangeOf(exchange: Exchange): Exchange {
    const { head } = exchange;
    if (!this.enabled || !this.isPosted(head)) return exchange;
    const client = this.#clients.get(head.query.slice(key.length));
    return client ? new PostedExchange(exchange, client) : exchange;
  }

  /** Whether a POST is for an endpoint, known here or not. */
  isPosted({ method, query }: RequestHead): boolean {
    return method === 'POST' && query.startsWith(key);
  }

  /** Opens the stream of a client. @param serve carries more of it through the phases. */
  open(call: Call, serve: (exchange: Exchange) => void): void {
    const id = this.#random.bytes(18).toString('base64url');
    const standing = { route: call.route as RouteState, credential: call.credential as Credential };
    const client = new SseClient(call, standing, serve, () => void this.#clients.delete(id));
    call.decision = 'allow';
    if (client.open(`${call.exchange.head.path}?${key}${id}`)) this.#clients.set(id, client);
  }
}

const key = 'sse=';
