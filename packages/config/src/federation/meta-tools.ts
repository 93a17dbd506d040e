/** What a virtual server with tool search lists in place of its tools. */
export interface MetaTool {
  readonly name: 'find_tools' | 'describe_tool' | 'call_tool';
  readonly title: string;
  readonly description: string;
  readonly inputSchema: object;
  readonly annotations: object;
}

/** In the order in which they are listed: find, describe, call. */
export const metaTools: readonly MetaTool[] = [
  {
    name: 'find_tools',
    title: 'Find tools',
    description:
      'Searches the tools of this server by words. Answers names and descriptions, best match first, and how many there are. Without a query it answers the first ones. Look a tool up with describe_tool before you call it.',
    inputSchema: {
      type: 'object',
      properties: {
        query: { type: 'string', description: 'What the tool should do, in a few words' },
        limit: { type: 'integer', minimum: 1, description: 'How many tools to answer' },
      },
      additionalProperties: false,
    },
    annotations: { readOnlyHint: true, openWorldHint: false },
  },
  {
    name: 'describe_tool',
    title: 'Describe a tool',
    description: 'Answers everything about one tool: its description and the schema of its arguments.',
    inputSchema: {
      type: 'object',
      properties: { name: { type: 'string', description: 'Name of the tool, as find_tools answers it' } },
      required: ['name'],
      additionalProperties: false,
    },
    annotations: { readOnlyHint: true, openWorldHint: false },
  },
  {
    name: 'call_tool',
    title: 'Call a tool',
    description: 'Calls a tool that find_tools has found, and answers what it answers.',
    inputSchema: {
      type: 'object',
      properties: {
        name: { type: 'string', description: 'Name of the tool, as find_tools answers it' },
        arguments: { type: 'object', description: 'Arguments as its schema wants them, which describe_tool answers' },
      },
      required: ['name'],
      additionalProperties: false,
    },
    annotations: { openWorldHint: true },
  },
];

const names: ReadonlySet<string> = new Set(metaTools.map(({ name }) => name));

/** Whether a presented name is one of the gateway's own tools, where there is tool search. */
export function isMetaTool(name: string): name is MetaTool['name'] {
  return names.has(name);
}
