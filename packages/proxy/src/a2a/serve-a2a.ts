import { getAgentCard, pushConfigurations } from '@signalbox/config';
import { isAllowed } from '../forward/authorize.ts';
import { type ForwardRefusal, forwardRefusals } from '../forward/errors.ts';
import type { ForwardCall } from '../forward/forward-call.ts';
import { upstreamHeaders } from '../forward/headers.ts';
import { isEventStream, Relay } from '../forward/relay.ts';
import { encodeEvent } from '../http/sse.ts';
import { memberValue } from '../json/members.ts';
import type { ScannedMessage } from '../json/message.ts';
import { scanBody } from '../json/scan.ts';
import { endings } from '../mcp/errors.ts';
import type { UpstreamHead } from '../upstream/upstream.ts';
import { a2aErrorMessage, a2aRefusals, a2aWording } from './errors.ts';
import { type A2aVersion, operationOf, versionOf } from './operations.ts';
import { serveCard } from './serve-card.ts';

const cardPath = '/.well-known/agent-card.json';

/**
 * Serves a request of an A2A route: the card of the agent, or a JSON-RPC request, which is read strictly so that policy
 * knows its operation, and then goes on byte for byte. When a client leaves, the agent's task lives on.
 */
export function serveA2a(call: ForwardCall): void {
  const { head } = call.exchange;
  const version = requestedVersion(call);
  call.protocolVersion = version ?? '';
  const rest = head.path.slice(call.route.entry.endpoint.length);
  if (rest === cardPath) return openCard(call, version);
  if (rest !== '' && rest !== '/') return call.refuse(forwardRefusals.unknownPath);
  if (head.method !== 'POST') return call.refuse(forwardRefusals.methodNotAllowed, ['Allow', 'POST']);
  if (!isJson(head.header('content-type'))) return call.refuse(a2aRefusals.wrongContentType);
  const body = call.exchange.body(call.services.limits.bodyBytes);
  if (!(body instanceof Promise)) return take(call, body, version);
  body.then((read) => take(call, read, version)).catch((error: unknown) => call.fail(error));
}

function requestedVersion({ exchange: { head } }: ForwardCall): A2aVersion | undefined {
  const given = head.header('a2a-version');
  if (given !== undefined || head.query === '') return versionOf(given ?? '');
  return versionOf(new URLSearchParams(head.query).get('A2A-Version') ?? '');
}

function openCard(call: ForwardCall, version: A2aVersion | undefined): void {
  const { method } = call.exchange.head;
  if (method !== 'GET' && method !== 'HEAD') {
    return call.refuse(forwardRefusals.methodNotAllowed, ['Allow', 'GET, HEAD']);
  }
  call.method = getAgentCard;
  if (!version) return call.refuse(a2aRefusals.unsupportedVersion);
  if (!isAllowed(call, { kind: 'a2a', method: call.method, version })) return;
  serveCard(call).catch((error: unknown) => call.fail(error));
}

function take(call: ForwardCall, body: Buffer | undefined, version: A2aVersion | undefined): void {
  if (!body) {
    // The codec has sent 413 itself, or there is nobody left to answer.
    const { bodyTooLarge } = forwardRefusals;
    if (call.exchange.answered) return call.endUnanswered(bodyTooLarge.status, bodyTooLarge.name);
    return call.endUnanswered(0, endings.clientGone);
  }
  call.requestBytes = body.length;
  const scanned = scanBody(body, call.services.limits.requestScan);
  if (scanned.kind === 'fault') return call.refuse(a2aRefusals.notJson);
  if (scanned.kind !== 'message' || !isRequest(scanned.message)) return call.refuse(a2aRefusals.notAMessage);
  const { message } = scanned;
  const id = body.toString('utf8', message.id?.start, message.id?.end);
  call.wordRefusal = a2aWording(id);
  const refusal = judge(call, message, version);
  if (refusal) return call.refuse(refusal);
  if (isAllowed(call, { kind: 'a2a', method: call.method, version: version as A2aVersion })) send(call, body, id);
}

/** What the gateway does not carry, before policy is asked. */
function judge(
  call: ForwardCall,
  message: ScannedMessage,
  version: A2aVersion | undefined,
): ForwardRefusal | undefined {
  const method = message.method as string;
  call.method = method;
  if (!version) return a2aRefusals.unsupportedVersion;
  const operation = operationOf(version, method);
  if (!operation) {
    // Without a version the request is of 0.3, but its method is not.
    return version === '0.3' && operationOf('1.0', method) ? a2aRefusals.unsupportedVersion : a2aRefusals.unknownMethod;
  }
  call.method = operation.name;
  switch (operation.carried) {
    case 'no-push':
      return a2aRefusals.pushNotSupported;
    case 'no-extended-card':
      return a2aRefusals.unsupportedOperation;
    case 'yes':
      return configuresPush(message) ? a2aRefusals.pushNotSupported : undefined;
  }
}

/** Push notifications would go from the agent to a URL of the caller's choice, past the gateway. */
function configuresPush({ bytes, params }: ScannedMessage): boolean {
  const configuration = params && memberValue(bytes, params, 'configuration');
  if (!configuration) return false;
  return pushConfigurations.some((name) => {
    const value = memberValue(bytes, configuration, name);
    return value !== undefined && bytes.toString('latin1', value.start, value.end) !== 'null';
  });
}

function send(call: ForwardCall, body: Buffer, id: string): void {
  const { route, exchange } = call;
  const { entry, basePath } = route;
  const { query } = exchange.head;
  const request = {
    ...{ origin: route.origin, poolKey: entry.backend.key, peer: entry.backend, timeouts: route.timeouts },
    ...{ method: 'POST', target: query === '' ? basePath : `${basePath}?${query}`, body, safeToResend: false },
    maxBodyBytes: route.maxBodyBytes,
    headers: upstreamHeaders(exchange.head, entry.forwarding.requestHeaders),
  };
  const words = (refusal: ForwardRefusal, head: UpstreamHead) =>
    isEventStream(head) ? encodeEvent({ data: a2aErrorMessage(id, refusal) }) : undefined;
  new Relay(call, request, { words }).start();
}

function isRequest({ jsonrpc, method, idType, paramsType }: ScannedMessage): boolean {
  const hasId = idType === 'string' || idType === 'integer';
  return jsonrpc && method !== undefined && hasId && paramsType !== 'other';
}

function isJson(type: string | undefined): boolean {
  const semicolon = type?.indexOf(';') ?? -1;
  const essence = (semicolon < 0 ? type : type?.slice(0, semicolon))?.trim().toLowerCase();
  return essence === 'application/json' || essence === 'application/a2a+json';
}
