import type { Standing } from '../mcp/authorization.ts';
import type { Call } from '../mcp/call.ts';
import { endings, refusals } from '../mcp/errors.ts';
import { type LoggedEvents, SharedStateError, type StreamKey } from '../nodes/shared-state.ts';
import type { Session } from '../session/sessions.ts';
import { ResumedCall } from './resumed-call.ts';
import { readAbout } from './resumption.ts';
import type { ResumePoint } from './stream-ids.ts';

/**
 * Goes on with a stream behind the last event that its client has seen, whichever node it ran on: with the answer of a
 * call from what is kept of it, with a GET stream from the server again, behind what was missed.
 * @param openAnew opens a GET stream; it begins with these events.
 */
export async function resumeStream(
  call: Call,
  standing: Standing,
  { stream, position }: ResumePoint,
  openAnew: (missed: readonly string[]) => void,
): Promise<void> {
  const { services, exchange } = call;
  const { tenant, name } = (call.session as Session).facts;
  const key = { tenant, session: name, stream };
  exchange.onClientGone(() => call.end(endings.clientGone));
  try {
    const found = await services.state.events.read(key, position);
    if (!found || hasGap(found, position)) return call.refuse(refusals.eventsGone);
    const about = readAbout(found.about);
    if (!found.isClosed) await services.resumption.takeOver(about.node, key);
    if (call.ended) return;
    if (about.kind === 'call') return new ResumedCall(call, standing, { key, about, after: position }).open(found);
    const missed = await missedOf(call, key, position);
    if (missed && !call.ended) openAnew(missed);
  } catch (error) {
    if (!(error instanceof SharedStateError)) throw error;
    call.refuse(refusals.sharedStateAway);
  }
}

/** What came on a GET stream until it was taken over. */
async function missedOf(call: Call, key: StreamKey, after: number): Promise<readonly string[] | undefined> {
  const read = await call.services.state.events.read(key, after);
  if (read && !hasGap(read, after)) return read.events.map(({ text }) => text);
  call.refuse(refusals.eventsGone);
  return undefined;
}

/** Whether events behind the last one that was seen are missing. */
function hasGap({ events }: LoggedEvents, after: number): boolean {
  return events.some(({ position }, at) => position !== after + 1 + at);
}
