import { arrayElements, memberValue, stringValue } from '../json/members.ts';
import type { Call, CallTarget } from '../mcp/call.ts';
import { mayHoldAnnotations } from '../mcp/header-annotations.ts';
import { paramHeaderFields, paramHeadersOf } from '../mcp/param-headers.ts';

/**
 * `Mcp-Param-*` headers of a call through `call_tool`, as the client would have sent them had it been shown the tool (MCP
 * 2026-07-28, Streamable HTTP): from the annotations of the member's own schema.
 */
export async function parameterHeaders(call: Call, { state, own }: CallTarget): Promise<readonly string[]> {
  const tools = await call.services.memberTools.of(call, state);
  for (const { bytes, result } of tools?.pages ?? []) {
    if (!mayHoldAnnotations(bytes)) continue;
    const list = memberValue(bytes, result, 'tools');
    for (const tool of list ? arrayElements(bytes, list) : []) {
      const name = memberValue(bytes, tool, 'name');
      if (!name || stringValue(bytes, name) !== own) continue;
      const { message } = call;
      return message ? paramHeaderFields(paramHeadersOf(bytes, tool), message.bytes, message.args) : [];
    }
  }
  return [];
}
