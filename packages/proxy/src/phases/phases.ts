import type { Exchange } from '../http/exchange.ts';
import type { RequestPathDeps } from '../mcp/services.ts';

/** What answers every request that passed the gate: never throws, and ends each one in exactly one outcome event. */
export function createRequestHandler(_deps: RequestPathDeps): (exchange: Exchange) => void {
  return (exchange) => exchange.respond(503, [], undefined);
}
