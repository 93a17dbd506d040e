import { type Exceeded, limitHeaders } from '../limits/local-rate-limit.ts';
import { type Call, jsonHeaders } from './call.ts';
import { errorMessage, refusals } from './errors.ts';

/**
 * Answers a call that a limit leaves no room for. Of a tool it is a result that says so, in words that a model can act
 * on; what else is called gets an HTTP 429.
 */
export function refuseLimited(call: Call, exceeded: Exceeded): void {
  call.decision = 'limited';
  call.decidedBy = exceeded.limit.id;
  const { name, status } = refusals.rateLimited;
  const headers = [...jsonHeaders, ...limitHeaders(exceeded)];
  const message = limitText(exceeded);
  if (call.subject?.kind !== 'tool') {
    call.respond(status, headers, errorMessage(call.clientId, refusals.rateLimited, { message }), name);
    return;
  }
  const resultType = call.era === 'modern' ? { resultType: 'complete' } : {};
  const result = JSON.stringify({ content: [{ type: 'text', text: message }], isError: true, ...resultType });
  call.respond(200, headers, `{"jsonrpc":"2.0","id":${call.clientId},"result":${result}}`, name);
}

function limitText({ limit, isConcurrent, retryAfterS }: Exceeded): string {
  if (isConcurrent) {
    return `Too many calls at once: at most ${limit.concurrent} may be under way here. Try again when one has ended.`;
  }
  const wait = `${retryAfterS} second${retryAfterS === 1 ? '' : 's'}`;
  return `Too many calls: at most ${limit.callsPerMinute} a minute are allowed here. Try again in ${wait}.`;
}
