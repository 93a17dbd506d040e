/** What clients hand to a model of a tool: everything else of its descriptor costs no context. */
export interface WeighedTool {
  readonly name: string;
  readonly description?: string;
  readonly inputSchema?: unknown;
}

/**
 * About how many tokens of a model's context a tool takes. Models count differently: this is for comparing, and good to a
 * third or so.
 */
export function toolTokens({ name, description, inputSchema }: WeighedTool): number {
  return estimatedTokens(JSON.stringify({ name, description, inputSchema }));
}

/** Four characters of English or JSON a token, one of any other script. */
export function estimatedTokens(text: string): number {
  let others = 0;
  for (const character of text) if ((character.codePointAt(0) as number) > 0x7f) others += 1;
  return Math.ceil((text.length - others) / 4) + others;
}
