import { type Call, jsonHeaders } from '../mcp/call.ts';

/** Answers a call of a tool of the gateway's own with a text for the model, and ends it. */
export function respondWithText(call: Call, text: string, { isError = false } = {}): void {
  const result = {
    content: [{ type: 'text', text }],
    ...(isError && { isError }),
    ...(call.era === 'modern' && { resultType: 'complete' }),
  };
  call.respond(200, jsonHeaders, `{"jsonrpc":"2.0","id":${call.clientId},"result":${JSON.stringify(result)}}`);
}
