import { arrayElements, memberValue, stringValue } from '../json/members.ts';
import type { Call, CallTarget } from '../mcp/call.ts';
import { mayHoldAnnotations } from '../mcp/header-annotations.ts';
import { encodeHeaderValue } from '../mcp/header-value.ts';

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
      const schema = memberValue(bytes, tool, 'inputSchema');
      return schema ? headersOf(JSON.parse(bytes.toString('utf8', schema.start, schema.end)), argumentsOf(call)) : [];
    }
  }
  return [];
}

function argumentsOf({ message }: Call): unknown {
  return message?.args ? JSON.parse(message.bytes.toString('utf8', message.args.start, message.args.end)) : {};
}

/** Of every annotated property that has a value; those that are null or absent have no header. */
function headersOf(schema: unknown, value: unknown): readonly string[] {
  const properties = recordOf(recordOf(schema)['properties']);
  return Object.entries(properties).flatMap(([key, property]) => {
    const own = recordOf(value)[key];
    const header = recordOf(property)['x-mcp-header'];
    if (typeof header !== 'string') return headersOf(property, own);
    const isSent = typeof own === 'string' || typeof own === 'number' || typeof own === 'boolean';
    return isSent ? [`Mcp-Param-${header}`, encodeHeaderValue(String(own))] : [];
  });
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
