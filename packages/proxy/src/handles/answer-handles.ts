import { encodeEvent, type SseEvent } from '../http/sse.ts';
import { arrayElements, memberValue, stringValue } from '../json/members.ts';
import type { ScannedMessage, Span } from '../json/message.ts';
import { scanBody } from '../json/scan.ts';
import type { MemberRewrite } from '../mcp/answer-rewriter.ts';
import type { Call } from '../mcp/call.ts';
import { backendDigest, type Endpoint } from '../mcp/endpoint.ts';
import { requestDigest } from '../mcp/request-digest.ts';
import { type Edit, splice } from '../mcp/splice.ts';
import { isUnwantedLog } from '../mcp/wanted-logs.ts';
import type { StateBinding } from './handles.ts';

/** Methods whose answers may ask for input, and carry a state. */
const asking: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read']);

/** Whether answers to the call may hold handles: only then they have to be looked into. */
export function mayAnswerHandles({ era, method, rule, body }: Call): boolean {
  if (rule?.subject === 'task') return true;
  if (era === 'modern') return asking.has(method) || rule?.special === 'listen';
  return method === 'tools/call' && body !== undefined && body.includes('"task"');
}

/** What is changed in the answer of a server whose own names are the client's: its handles are sealed. */
export class AnswerHandles implements MemberRewrite {
  readonly keepsEvents = true;
  readonly #call: Call;
  readonly #server: Endpoint;

  constructor(call: Call, server: Endpoint) {
    this.#call = call;
    this.#server = server;
  }

  touches(bytes: Buffer): boolean {
    return mayHoldHandles(this.#call, bytes);
  }

  mayPass(first: Buffer): boolean {
    return !this.touches(first);
  }

  edits(answer: Buffer): readonly Edit[] | undefined {
    if (!this.touches(answer)) return [];
    const scanned = scanBody(answer, this.#call.services.limits.responseScan);
    return scanned.kind === 'message' ? handleEdits(this.#call, this.#server, scanned.message) : undefined;
  }

  eventId(id: string): string {
    return id;
  }

  event(event: SseEvent): Buffer | string | undefined {
    if (isUnwantedLog(this.#call, event)) return undefined;
    const { raw, dataBytes } = event;
    if (!dataBytes?.includes(taskIdKey)) return raw;
    const scanned = scanBody(dataBytes, this.#call.services.limits.responseScan);
    const edits = scanned.kind === 'message' ? handleEdits(this.#call, this.#server, scanned.message) : [];
    if (edits.length === 0) return raw;
    const { id, retryMs } = event;
    const data = splice(dataBytes, edits).toString('utf8');
    return encodeEvent({ ...(id === undefined ? {} : { id }), ...(retryMs === undefined ? {} : { retryMs }), data });
  }
}

/** A quick look that spares most answers the reading. */
export function mayHoldHandles(call: Call, bytes: Buffer): boolean {
  const ofTask = call.rule?.subject === 'task';
  if (!ofTask && call.era === 'modern' && bytes.length > windowBytes * 2 && isPlainlyComplete(bytes)) return false;
  if (call.era === 'modern' && bytes.includes(inputRequired)) return true;
  return (ofTask || asksForTasks(call)) && bytes.includes(taskIdKey);
}

/** Whether handles may stand anywhere in a large answer, by how it begins. */
export function handlesMayFollow(call: Call, first: Buffer): boolean {
  if (call.rule?.subject === 'task' || asksForTasks(call)) return true;
  return call.era === 'modern' && !first.subarray(0, windowBytes).includes(complete);
}

/** Says so at its beginning or end, where a result has its own members. */
function isPlainlyComplete(bytes: Buffer): boolean {
  return (
    bytes.subarray(0, windowBytes).includes(complete) || bytes.subarray(bytes.length - windowBytes).includes(complete)
  );
}

/** Whether the request lets its server answer with a task. */
function asksForTasks({ era, body, rule }: Call): boolean {
  if (rule?.special === 'listen') return true;
  return body?.includes(era === 'modern' ? tasksExtension : taskParam) ?? false;
}

/** Edits that seal the handles in a message of a server, in order. */
export function handleEdits(call: Call, server: Endpoint, message: ScannedMessage): readonly Edit[] {
  const edits = message.result
    ? [...stateEdits(call, server, message, message.result), ...taskEdits(call, server, message, message.result)]
    : toldTaskEdits(call, server, message);
  return edits.toSorted((a, b) => a.start - b.start);
}

function stateEdits(call: Call, server: Endpoint, { bytes }: ScannedMessage, result: Span): readonly Edit[] {
  const type = memberValue(bytes, result, 'resultType');
  const state = memberValue(bytes, result, 'requestState');
  if (!state || !type || stringValue(bytes, type) !== 'input_required') return [];
  // A server of the legacy era is asked through the bridge, whose states are its own.
  if (call.services.eras.known(server) !== 'modern') return [];
  const sealed = call.services.handles.sealState(textAt(bytes, state), stateBinding(call, server));
  return [{ ...state, text: JSON.stringify(sealed) }];
}

/** Whose state it is, and for which request. */
export function stateBinding(call: Call, server: Endpoint): StateBinding {
  return {
    principal: call.credential?.principal.id ?? '',
    backend: backendDigest(server.backend),
    request: requestDigest(call.message as ScannedMessage),
  };
}

/** Ids of tasks in a result: of one that was begun, of one that was asked for, or of the one that the result is of. */
function taskEdits(call: Call, server: Endpoint, { bytes }: ScannedMessage, result: Span): readonly Edit[] {
  const begun = memberValue(bytes, result, 'task');
  const type = memberValue(bytes, result, 'resultType');
  const isTask = call.rule?.subject === 'task' || (type !== undefined && stringValue(bytes, type) === 'task');
  const places = [
    isTask ? memberValue(bytes, result, 'taskId') : undefined,
    begun && memberValue(bytes, begun, 'taskId'),
    relatedTask(bytes, memberValue(bytes, result, '_meta')),
  ];
  return places.flatMap((place) => (place ? taskEdit(call, server, bytes, place) : []));
}

/** Ids of tasks in what a server tells or asks beside its answer: of tasks that the caller has, and this node knows. */
function toldTaskEdits(call: Call, server: Endpoint, message: ScannedMessage): readonly Edit[] {
  const { bytes, params, meta, method } = message;
  const honoured = params && memberValue(bytes, params, 'notifications');
  const list = honoured && memberValue(bytes, honoured, 'taskIds');
  const places = [
    params && method !== undefined && taskNotifications.has(method) ? memberValue(bytes, params, 'taskId') : undefined,
    relatedTask(bytes, meta),
    ...(list ? arrayElements(bytes, list) : []),
  ];
  const at = { principal: call.credential?.principal.id ?? '', backend: backendDigest(server.backend) };
  return places.flatMap((place) => {
    const own = place && stringValue(bytes, place);
    const known = own === undefined ? undefined : call.services.handles.knownTask({ ...at, own });
    return place && known !== undefined ? [{ ...place, text: JSON.stringify(known) }] : [];
  });
}

function taskEdit(call: Call, server: Endpoint, bytes: Buffer, place: Span): readonly Edit[] {
  const own = stringValue(bytes, place);
  if (own === undefined) return [];
  const principal = call.credential?.principal.id ?? '';
  const task = { principal, backend: backendDigest(server.backend), tool: call.toolName, own };
  return [{ ...place, text: JSON.stringify(call.services.handles.sealTask(task)) }];
}

/** Where `_meta` says which task a message belongs to (MCP 2025-11-25, tasks). */
export function relatedTask(bytes: Buffer, meta: Span | undefined): Span | undefined {
  const related = meta && memberValue(bytes, meta, 'io.modelcontextprotocol/related-task');
  return related && memberValue(bytes, related, 'taskId');
}

function textAt(bytes: Buffer, { start, end }: Span): string {
  return bytes.toString('utf8', start, end);
}

const taskNotifications: ReadonlySet<string> = new Set(['notifications/tasks', 'notifications/tasks/status']);
const inputRequired = Buffer.from('input_required');
const complete = Buffer.from('"resultType":"complete"');
/** Of `taskId` and `taskIds`. */
const taskIdKey = Buffer.from('"taskId');
const taskParam = Buffer.from('"task"');
const tasksExtension = Buffer.from('io.modelcontextprotocol/tasks');
/** How much of both ends of a large answer is looked at. */
const windowBytes = 512;
