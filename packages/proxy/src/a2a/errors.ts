import type { ForwardRefusal } from '../forward/errors.ts';
import type { WordRefusal } from '../forward/forward-call.ts';

/** An answer of the gateway's own to a request of an A2A route. */
export interface A2aRefusal extends ForwardRefusal {
  /** JSON-RPC error code. The numbers of MCP mean other things. */
  readonly code: number;
  /** Of `google.rpc.ErrorInfo`; empty where A2A has no name for it. */
  readonly reason: string;
}

const codes = {
  parse: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  internal: -32603,
  server: -32000,
  pushNotSupported: -32003,
  unsupportedOperation: -32004,
  versionNotSupported: -32009,
} as const;

/** What is wrong with a message; the errors that all routes have are those of forward/errors.ts. */
export const a2aRefusals = {
  wrongContentType: refusal('wrong_content_type', 415, codes.server, 'Content-Type must be application/json'),
  notJson: refusal('not_json', 400, codes.parse, 'The body is not one strict JSON document'),
  notAMessage: refusal('not_a_message', 400, codes.invalidRequest, 'The body is not one JSON-RPC request'),
  unknownMethod: refusal('unknown_method', 200, codes.methodNotFound, 'Method not found'),
  unsupportedVersion: {
    ...refusal('unsupported_version', 200, codes.versionNotSupported, 'Send A2A-Version: 1.0, or 0.3'),
    reason: 'VERSION_NOT_SUPPORTED',
  },
  pushNotSupported: {
    ...refusal('push_not_supported', 200, codes.pushNotSupported, 'Push notifications are not carried here'),
    reason: 'PUSH_NOTIFICATION_NOT_SUPPORTED',
  },
  unsupportedOperation: {
    ...refusal('unsupported_operation', 200, codes.unsupportedOperation, 'This operation is not carried here'),
    reason: 'UNSUPPORTED_OPERATION',
  },
  invalidCard: refusal('upstream_invalid', 502, codes.internal, 'The agent has no card with a JSON-RPC interface'),
} as const satisfies Record<string, A2aRefusal>;

/** Words refusals as JSON-RPC errors. @param id raw JSON text of the request's id; `null` when none could be read. */
export function a2aWording(id: string): WordRefusal {
  return (refusal) => ({ headers: ['Content-Type', 'application/json'], body: a2aErrorMessage(id, refusal) });
}

/** JSON text of an error answer. @param id raw JSON text of the request's id; `null` when none could be read. */
export function a2aErrorMessage(id: string, refused: ForwardRefusal | A2aRefusal): string {
  const code = 'code' in refused ? refused.code : refused.status >= 500 ? codes.internal : codes.server;
  const reason = 'reason' in refused ? refused.reason : '';
  const data = reason === '' ? '' : `,"data":${JSON.stringify([{ ...errorInfo, reason }])}`;
  return `{"jsonrpc":"2.0","id":${id},"error":{"code":${code},"message":${JSON.stringify(refused.message)}${data}}}`;
}

const errorInfo = { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', domain: 'a2a-protocol.org' };

function refusal(name: string, status: number, code: number, message: string): A2aRefusal {
  return { name, status, code, message, reason: '' };
}
