import type { IncomingHttpHeaders } from 'node:http';

import { Inbox } from './inbox.ts';

/** One request as it reached a fixture. */
export interface RecordedRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** `method` of the JSON-RPC message in the body; empty without one. */
  readonly rpcMethod: string;
}

/** Everything that reached a fixture: the proof of what went upstream, and of what did not. */
export class RequestLog extends Inbox<RecordedRequest> {
  record(request: Omit<RecordedRequest, 'rpcMethod'>): void {
    this.add({ ...request, rpcMethod: rpcMethodOf(request.body) });
  }

  /** Requests of one JSON-RPC method. */
  of(rpcMethod: string): readonly RecordedRequest[] {
    return this.items.filter((request) => request.rpcMethod === rpcMethod);
  }
}

function rpcMethodOf(body: string): string {
  try {
    const message = JSON.parse(body) as { method?: unknown } | null;
    return typeof message?.method === 'string' ? message.method : '';
  } catch {
    return '';
  }
}
