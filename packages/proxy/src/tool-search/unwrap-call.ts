import { isMetaTool, type MetaTool } from '@signalbox/config';
import { openBrace } from '../json/bytes.ts';
import { memberValue, stringValue } from '../json/members.ts';
import type { ScannedMessage } from '../json/message.ts';
import { scanBody } from '../json/scan.ts';
import type { Call } from '../mcp/call.ts';
import { splice } from '../mcp/splice.ts';
import { respondWithText } from './tool-result.ts';

/** One of the gateway's own tools, which it answers itself. */
export type AnsweredTool = Exclude<MetaTool['name'], 'call_tool'>;

/**
 * Where there is tool search: `call_tool` becomes the call that it stands for, with the same bytes as arguments, before
 * anything is decided about it. From here on nothing tells it from a direct call. The other tools of the gateway are marked.
 * @returns false if the call has been answered: it does not say what to call.
 */
export function unwrapCall(call: Call): boolean {
  const { message, route } = call;
  if (call.method !== 'tools/call' || call.kind !== 'request' || !message) return true;
  if (!route?.entry.mcp.federation?.toolSearch || message.name === undefined || !isMetaTool(message.name)) return true;
  if (message.name !== 'call_tool') {
    call.metaTool = message.name;
    return true;
  }
  const unwrapped = unwrap(call, message);
  if (typeof unwrapped === 'string') {
    call.toolName = message.name;
    call.decision = 'allow';
    respondWithText(call, unwrapped, { isError: true });
    return false;
  }
  call.message = unwrapped;
  call.isUnwrapped = true;
  // What calls itself is nobody's tool: its name leads nowhere.
  if (unwrapped.name !== undefined && isMetaTool(unwrapped.name) && unwrapped.name !== 'call_tool') {
    call.metaTool = unwrapped.name;
  }
  return true;
}

/** The call that stands in the arguments; or, for the model, why there is none. */
function unwrap(call: Call, { bytes, params, args }: ScannedMessage): ScannedMessage | string {
  const outerName = params && memberValue(bytes, params, 'name');
  const name = args && memberValue(bytes, args, 'name');
  if (!args || !outerName || !name || stringValue(bytes, name) === undefined) {
    return 'name is required: the name of a tool, as find_tools answers it';
  }
  const inner = memberValue(bytes, args, 'arguments');
  if (inner && bytes[inner.start] !== openBrace) return 'arguments must be an object, as the schema of the tool says';
  const edits = [
    { ...outerName, text: bytes.subarray(name.start, name.end) },
    { ...args, text: inner ? bytes.subarray(inner.start, inner.end) : '{}' },
  ];
  const body = splice(
    bytes,
    edits.sort((a, b) => a.start - b.start),
  );
  const scanned = scanBody(body, call.services.limits.requestScan);
  return scanned.kind === 'message' ? scanned.message : 'the call cannot be read';
}
