import type { Exchange } from '../http/exchange.ts';
import { PostedExchange } from '../http-sse-clients/posted-exchange.ts';
import type { Call } from '../mcp/call.ts';
import { refusals } from '../mcp/errors.ts';
import { refuse, type Step } from './step.ts';

/**
 * A GET without a session is how a client of 2024-11-05 begins, where such are served; what it posts is its own alone.
 *
 * @param serve carries more of it through the phases.
 */
export function openSseClient(call: Call, serve: (exchange: Exchange) => void): Step {
  const { exchange, services, credential } = call;
  if (!services.sseClients.enabled) return 'continue';
  if (exchange instanceof PostedExchange) {
    return exchange.client.owner === credential?.principal.id ? 'continue' : refuse(call, refusals.sessionUnknown);
  }
  const { head } = exchange;
  if (services.sseClients.isPosted(head)) return refuse(call, refusals.sessionUnknown);
  if (call.kind !== 'get' || head.header('mcp-session-id') !== undefined) return 'continue';
  services.sseClients.open(call, serve);
  return 'stop';
}
