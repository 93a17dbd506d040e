import { createHash } from 'node:crypto';
import { forwardRefusals } from '../forward/errors.ts';
import { type ForwardCall, publicOrigin } from '../forward/forward-call.ts';
import { scanBody } from '../json/scan.ts';
import { endings } from '../mcp/errors.ts';
import { collect } from '../upstream/collect.ts';
import { rewriteCard } from './agent-card.ts';
import { a2aRefusals } from './errors.ts';

/** Fetches the agent's card, and answers with it as the gateway shows it. */
export async function serveCard(call: ForwardCall): Promise<void> {
  const { route, exchange, services } = call;
  const { entry } = route;
  const { origin, pathname, search, host } = new URL(entry.backend.cardUrl);
  const version = exchange.head.header('a2a-version');
  const request = {
    ...{ origin, poolKey: entry.backend.key, peer: entry.backend, timeouts: route.timeouts },
    ...{ method: 'GET', target: pathname + search, body: undefined, safeToResend: true },
    headers: ['accept', 'application/json', ...(version === undefined ? [] : ['a2a-version', version])],
  };
  const fetched = await collect(services.upstream, request, services.limits.cardBytes);
  if (exchange.closed) return call.endUnanswered(0, endings.clientGone);
  if ('failure' in fetched) return call.refuse(forwardRefusals.upstreamFailed);
  const { head, body } = fetched.answer;
  const isJson = head.status === 200 && scanBody(body, services.limits.responseScan).kind === 'message';
  const card = isJson
    ? rewriteCard(JSON.parse(body.toString('utf8')), {
        url: publicOrigin(exchange) + entry.endpoint,
        upstreamHost: host,
        needsCredential: entry.authentication.anonymous === null,
      })
    : undefined;
  if (card) answer(call, JSON.stringify(card));
  else call.refuse(a2aRefusals.invalidCard);
}

/** How long callers may keep a card, in seconds. */
const maxAgeS = 60;

/** Shapes differ by version, and the URL by the host that was asked. */
function answer(call: ForwardCall, body: string): void {
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  const headers = ['Cache-Control', `private, max-age=${maxAgeS}`, 'ETag', etag, 'Vary', 'A2A-Version, Authorization'];
  const known = call.exchange.head.header('if-none-match');
  if (known?.split(',').some((one) => one.trim() === etag) === true) return call.respond(304, headers, undefined);
  call.respond(200, ['Content-Type', 'application/json', ...headers], body);
}
