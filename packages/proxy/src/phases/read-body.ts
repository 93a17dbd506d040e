import type { Call } from '../mcp/call.ts';
import { endings, refusals } from '../mcp/errors.ts';
import { refuse, type Step } from './step.ts';

/** Takes the body of a POST. GET and DELETE have none. */
export function readBody(call: Call): Step | Promise<Step> {
  const { head } = call.exchange;
  if (head.method !== 'POST') return 'continue';
  const type = head.header('content-type');
  if (type !== 'application/json' && !isJson(type)) return refuse(call, refusals.wrongContentType);
  const body = call.exchange.body(call.services.limits.bodyBytes);
  return body instanceof Promise ? body.then((read) => take(call, read)) : take(call, body);
}

function take(call: Call, body: Buffer | undefined): Step {
  if (body) {
    call.setBody(body);
    return 'continue';
  }
  // The codec has sent 413 itself, or there is nobody left to answer.
  if (call.exchange.answered) call.endUnanswered(refusals.bodyTooLarge.status, refusals.bodyTooLarge.name);
  else call.endUnanswered(0, endings.clientGone);
  return 'stop';
}

function isJson(type: string | undefined): boolean {
  const semicolon = type?.indexOf(';') ?? -1;
  const essence = semicolon < 0 ? type : type?.slice(0, semicolon);
  return essence?.trim().toLowerCase() === 'application/json';
}
