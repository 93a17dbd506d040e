import type { HeldCalls } from './held-calls.ts';

/** Tools that every MCP fixture starts with. */
export const initialTools: readonly string[] = ['echo', 'slow_progress', 'hidden'];

interface CallParams {
  readonly name: string;
  readonly arguments?: Record<string, unknown> | undefined;
  readonly _meta?: { readonly progressToken?: string | number | undefined } | undefined;
}

interface CallContext {
  readonly signal: AbortSignal;
  /** Sends a progress notification on the stream of the call. */
  progress(progressToken: string | number, progress: number): Promise<void>;
}

/** Answer to `tools/list`. */
export function describeTools(names: readonly string[]) {
  const describe = (name: string) => ({
    name,
    description: `fixture tool ${name}`,
    inputSchema: { type: 'object' as const },
  });
  return { tools: names.map(describe) };
}

/** `echo {text}` answers the text, `slow_progress {key}` what the test says when it says so, others their name. */
export async function callTool(params: CallParams, held: HeldCalls, context: CallContext) {
  return { content: [{ type: 'text' as const, text: await answerOf(params, held, context) }] };
}

function answerOf(params: CallParams, held: HeldCalls, context: CallContext): Promise<string> | string {
  if (params.name === 'echo') return textOf(params.arguments?.['text']);
  if (params.name !== 'slow_progress') return params.name;
  const progressToken = params._meta?.progressToken;
  return held.hold(textOf(params.arguments?.['key']), context.signal, async (progress) => {
    if (progressToken !== undefined) await context.progress(progressToken, progress);
  });
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
