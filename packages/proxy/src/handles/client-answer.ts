import { memberValue, stringValue } from '../json/members.ts';
import type { Call } from '../mcp/call.ts';
import { type Edit, splice } from '../mcp/splice.ts';
import { relatedTask } from './answer-handles.ts';

/** What a client answers a server, with the server's own name of the task that the question was asked for. */
export function clientAnswer(call: Call): Buffer {
  const body = call.body as Buffer;
  const edits = relatedTaskEdits(call);
  return edits.length === 0 ? body : splice(body, edits);
}

/** Edits that name the task as the server does; none for what is not the caller's task. */
export function relatedTaskEdits(call: Call): readonly Edit[] {
  const { message, services, credential } = call;
  if (!message?.result || !message.bytes.includes(marker)) return [];
  const place = relatedTask(message.bytes, memberValue(message.bytes, message.result, '_meta'));
  const id = place && stringValue(message.bytes, place);
  const task = id === undefined ? undefined : services.handles.openTask(id, credential?.principal.id ?? '');
  return place && task ? [{ ...place, text: JSON.stringify(task.own) }] : [];
}

const marker = Buffer.from('related-task');
