import type { ScannedMessage } from '../json/message.ts';

/** An answer of the bridge's own: a result without members. */
export function emptyAnswer(message: ScannedMessage): string {
  return `{"jsonrpc":"2.0","id":${idOf(message)},"result":{}}`;
}

/** An answer of the bridge's own: an error. */
export function errorAnswer(message: ScannedMessage, code: number, reason: string): string {
  return `{"jsonrpc":"2.0","id":${idOf(message)},"error":${JSON.stringify({ code, message: reason })}}`;
}

/** Raw JSON of a message's id. */
function idOf({ bytes, id }: ScannedMessage): string {
  return id ? bytes.toString('utf8', id.start, id.end) : 'null';
}
