import type { ScannedBody } from '../json/message.ts';
import { scanBody } from '../json/scan.ts';
import { acceptsAnswers, acceptsEvents } from '../mcp/accept.ts';
import type { Call } from '../mcp/call.ts';
import { classify as classifyMessage, type Classified } from '../mcp/classify.ts';
import { legacyCodec } from '../mcp/codec/rev2025-11-25.ts';
import { isModernVersion, modernCodec } from '../mcp/codec/rev2026-07-28.ts';
import { refusals } from '../mcp/errors.ts';
import { requestedVersion } from '../mcp/initialize.ts';
import { refuse, type Step } from './step.ts';

/** Reads the body strictly, once, and says which era it belongs to and what kind of message it is. */
export function classify(call: Call): Step {
  const { head } = call.exchange;
  if (head.method !== 'POST') return classifyBodiless(call);
  const body = scanBody(call.body as Buffer, call.services.limits.requestScan);
  const version = head.header('mcp-protocol-version');
  const headers = { version, method: head.header('mcp-method'), name: head.header('mcp-name') };
  const classified = classifyMessage(headers, body);
  note(call, body, classified);
  if (body.kind === 'batch' && body.items.some(({ method }) => method === 'initialize')) {
    return refuse(call, refusals.batch, { message: 'initialize cannot be part of a batch' });
  }
  if (classified.kind === 'refused') return refuse(call, classified.refusal, classified.detail);
  const isAnswered = call.kind === 'request' || call.kind === 'batch';
  if (isAnswered && !acceptsAnswers(head.header('accept'))) return refuse(call, refusals.notAcceptable);
  return 'continue';
}

/** GET and DELETE are the legacy era's: stream and end of a session. */
function classifyBodiless(call: Call): Step {
  const { head } = call.exchange;
  const version = head.header('mcp-protocol-version');
  const isModern = version !== undefined && isModernVersion(version);
  call.era = isModern ? 'modern' : 'legacy';
  if (isModern || (head.method !== 'GET' && head.method !== 'DELETE')) return refuse(call, refusals.methodNotAllowed);
  call.kind = head.method === 'GET' ? 'get' : 'delete';
  const takesAnswer = call.kind === 'delete' || acceptsEvents(head.header('accept'));
  return takesAnswer ? 'continue' : refuse(call, refusals.notAcceptableStream);
}

function note(call: Call, body: ScannedBody, classified: Classified): void {
  if (body.kind === 'message') {
    call.message = body.message;
    call.method = body.message.method ?? 'response';
  }
  switch (classified.kind) {
    case 'modern':
      call.era = 'modern';
      call.version = classified.version;
      call.kind = classified.message;
      call.rule = modernCodec.methods.get(call.method);
      break;
    case 'legacy':
      call.era = 'legacy';
      call.kind = classified.message === 'initialize' ? 'request' : classified.message;
      call.rule = legacyCodec.methods.get(call.method);
      if (classified.message === 'initialize') call.version = requestedVersion(call);
      break;
    case 'legacy-batch':
      call.era = 'legacy';
      call.kind = 'batch';
      call.method = 'batch';
      break;
    case 'refused':
      break;
  }
}
