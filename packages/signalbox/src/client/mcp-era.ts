export const eras = ['auto', 'modern', 'legacy'] as const;
/** How to speak to an MCP server: `auto` asks it. */
export type Era = (typeof eras)[number];
