import type { ScannedMessage } from '../../json/message.ts';
import { scanBody } from '../../json/scan.ts';
import type { UpstreamExchange, UpstreamHandler } from '../../upstream/upstream.ts';
import { ActingExchange } from '../acting-exchange.ts';
import type { BridgeContext } from '../bridge-context.ts';
import { LocalAnswer } from '../local-answer.ts';
import type { BridgedSessions } from './session.ts';

const mark = 'sbq';
const kind = 'bridged-answer';
const taken = 'taken';

/** Raw JSON of the id of a question to a legacy client: it names the node where the call waits for the answer. */
export function questionId({ nodeCalls, random }: BridgeContext): string {
  return JSON.stringify(`${mark}.${nodeCalls.self}.${random.bytes(9).toString('base64url')}`);
}

/** The node that has asked; undefined for ids of others. */
export function askingNode(id: string): string | undefined {
  return /^"sbq\.([\w-]+)\.[\w-]{12}"$/.exec(id)?.[1];
}

/** A legacy client's answer to a question of a call at another node goes there. */
export function handAnswer(
  { nodeCalls }: BridgeContext,
  to: { readonly node: string; readonly session: string },
  message: ScannedMessage,
  handler: UpstreamHandler,
): UpstreamExchange {
  let present = true;
  let answered = false;
  const answer = (status: number): void => {
    if (present && !answered) new LocalAnswer(handler, { status });
    answered = true;
  };
  const conversation = nodeCalls.begin(to.node, kind, JSON.stringify([to.session, message.bytes.toString('utf8')]), {
    onSaid: (text) => answer(text === taken ? 202 : 400),
    onEnd: () => answer(400),
    // Nobody waits at a node that is gone; from one that cannot be reached the client may try again.
    onFailed: (failure) => answer(failure === 'gone' || failure === 'too-large' ? 400 : 503),
  });
  const nothing = () => undefined;
  const abort = (): void => {
    present = false;
    conversation.end();
  };
  return new ActingExchange({ pause: nothing, resume: nothing, detach: nothing, abort });
}

/** This node takes answers to what it has asked. The session in which it did is known by its secret name. */
export function takeAnswers({ nodeCalls, limits }: BridgeContext, sessions: BridgedSessions): void {
  nodeCalls.serve(kind, (opening, conversation) => {
    const [session, body] = JSON.parse(opening) as [string, string];
    const scanned = scanBody(Buffer.from(body, 'utf8'), limits.requestScan);
    const message = scanned.kind === 'message' ? scanned.message : undefined;
    const id = message?.id && message.bytes.toString('utf8', message.id.start, message.id.end);
    const call = id === undefined ? undefined : sessions.known(session)?.asked.get(id);
    if (message && id !== undefined && call) call.answered(id, message);
    conversation.say(call ? taken : '');
    conversation.end();
    const nothing = () => undefined;
    return { onSaid: nothing, onEnd: nothing, onFailed: nothing };
  });
}
