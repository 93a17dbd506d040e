import { stateBinding } from '../handles/answer-handles.ts';
import { memberValue, stringValue } from '../json/members.ts';
import type { Span } from '../json/message.ts';
import type { Call } from '../mcp/call.ts';
import type { Era } from '../mcp/codec/codec.ts';
import type { Endpoint } from '../mcp/endpoint.ts';
import { refusals } from '../mcp/errors.ts';
import type { RouteState } from '../mcp/route-state.ts';
import { refuse, type Step } from './step.ts';

/**
 * Opens the `requestState` that a modern client brings back to a server of its era: the server gets what it gave, byte for
 * byte, and nothing that was not its own. States of calls at legacy servers are the bridge's.
 */
export function openHandles(call: Call): Step | Promise<Step> {
  const { message, era, body } = call;
  if (era !== 'modern' || !message?.params || !body?.includes(stateKey)) return 'continue';
  const state = memberValue(message.bytes, message.params, 'requestState');
  if (!state) return 'continue';
  const server = call.target?.state ?? (call.route as RouteState);
  const known = call.services.eras.known(server);
  if (known !== undefined) return open(call, server, state, known);
  return new Promise<Era | undefined>((resolve) => call.services.eras.find(server, resolve)).then((found) =>
    open(call, server, state, found),
  );
}

function open(call: Call, server: Endpoint, state: Span, era: Era | undefined): Step {
  if (era !== 'modern') return 'continue';
  const sealed = stringValue((call.message as { bytes: Buffer }).bytes, state) ?? '';
  const opened = call.services.handles.openState(sealed, stateBinding(call, server));
  if ('refused' in opened) return refuse(call, refusals.invalidParams, { message: opened.refused });
  call.edits.push({ ...state, text: opened.raw });
  return 'continue';
}

const stateKey = Buffer.from('"requestState"');
