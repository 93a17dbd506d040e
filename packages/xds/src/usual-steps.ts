/**
 * The two steps that nearly all steps of a fleet are: a stream at rest that follows everything of what it asks for moves
 * on, and it acknowledges. They lead to exactly what a whole turn of the session leads to, and look only at the types that
 * change. The driver that tests sessions takes both ways and compares.
 */
import type { ChangeSet } from './change-set.ts';
import type { ServerSession, SessionContext, SessionEffect, SessionEvent, SessionStep } from './server-session.ts';
import type { CollectionRevision } from './stream-observer.ts';
import type { StreamRequest } from './stream-request.ts';
import { owesNothing } from './subscription.ts';

/** Undefined: the step is another one. */
export function usualStep(
  session: ServerSession,
  event: SessionEvent,
  context: SessionContext,
): SessionStep | undefined {
  // Where types wait for answers to others, or are reported together, an answer concerns more than its type.
  if (!context.order.sendsAhead || !context.dialect.sendsChanges) return undefined;
  if (event.kind === 'request') return acknowledged(session, event.request, context);
  return event.kind === 'advance' ? movedOn(session, event.changes, context) : undefined;
}

function acknowledged(
  session: ServerSession,
  request: StreamRequest,
  { order, collections }: SessionContext,
): SessionStep | undefined {
  const { typeUrl, responseNonce } = request;
  const state = session.types.get(typeUrl);
  if (state?.inFlight?.nonce !== responseNonce || state.inFlight.isHeartbeat || !saysNothingElse(request))
    return undefined;
  if (state.parts.length > 0 || state.faults.length > 0 || !owesNothing(state.subscription)) return undefined;
  const types = new Map(session.types).set(typeUrl, { ...state, inFlight: undefined, isAnswered: true });
  const effects: SessionEffect[] = [];
  if (order.closing.has(typeUrl)) {
    const ids = state.coverage === 'all' ? [...collections.ids()] : state.coverage;
    effects.push({ kind: 'acked', collections: revisionsOf(ids, collections) });
  }
  return { session: { ...session, types, unsettled: session.unsettled - 1 }, effects };
}

function saysNothingElse(request: StreamRequest): boolean {
  if (request.node || request.errorDetail || !('resourceNamesSubscribe' in request)) return false;
  return request.resourceNamesSubscribe.length === 0 && request.resourceNamesUnsubscribe.length === 0;
}

function movedOn(session: ServerSession, changes: ChangeSet, context: SessionContext): SessionStep | undefined {
  const { order, collections } = context;
  if (session.unsettled > 0 || !session.isPlain) return undefined;
  let unsettled = 0;
  const types = new Map(session.types);
  const effects: SessionEffect[] = [];
  for (const typeUrl of order.inOrder) {
    const state = types.get(typeUrl);
    if (!state) continue;
    const delta = changes.delta(typeUrl);
    const isClosing = order.closing.has(typeUrl);
    if (delta.updated.length === 0 && delta.removed.length === 0) {
      // What closes a round is answered for even when it is not sent.
      if (isClosing) return undefined;
      continue;
    }
    if (context.encoder.split(delta).length > 1) return undefined;
    const response = context.encoder.encode(typeUrl, delta);
    const { nonce, version } = response;
    const inFlight = { nonce, version, delta, isHeartbeat: false };
    types.set(typeUrl, { ...state, coverage: changes.ids, inFlight, lastNonce: nonce });
    unsettled += 1;
    effects.push({ kind: 'send', typeUrl, response });
    if (isClosing) effects.push({ kind: 'sent', collections: revisionsOf(changes.ids, collections) });
  }
  return { session: { ...session, types, unsettled }, effects };
}

function revisionsOf(
  ids: readonly string[],
  collections: SessionContext['collections'],
): readonly CollectionRevision[] {
  return ids.map((id) => ({ id, revision: collections.get(id)?.revision }));
}
