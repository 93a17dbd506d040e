/** The two families of MCP revisions: with sessions, and stateless. */
export type Era = 'legacy' | 'modern';

/** What the gateway does with requests of a method. Methods that an era does not have are absent from its table. */
export interface MethodRule {
  readonly name: string;
  /**
   * Whom policy asks about: the subject of `decide`, taken from `params.name` or `params.uri`; of a task, the tool whose
   * call it is, from `params.taskId`.
   */
  readonly subject: 'tool' | 'prompt' | 'resource' | 'task' | 'none';
  /** The list in the result whose entries policy filters. */
  readonly list?: ListRule;
  /** What else is special about its way through the gateway. */
  readonly special?: 'initialize' | 'listen';
  /** A repeated request has no effect beyond the first: it may go out again on another connection. */
  readonly repeatable: boolean;
}

/** A member of a result that holds a list, and what names its entries. */
export interface ListRule {
  readonly member: 'tools' | 'prompts' | 'resources' | 'resourceTemplates';
  readonly subject: 'tool' | 'prompt' | 'resource';
  /** Member of an entry that names it. */
  readonly key: 'name' | 'uri' | 'uriTemplate';
}

/** One era on the wire: its revisions, its methods, and how it words what policy refuses. */
export interface EraCodec {
  readonly era: Era;
  /** Newest first. */
  readonly versions: readonly string[];
  readonly methods: ReadonlyMap<string, MethodRule>;
  /** HTTP status of the answer to a method that the era does not have. */
  readonly unknownMethodStatus: 200 | 404;
  /** JSON-RPC code for a resource that does not exist, or must seem so. */
  readonly unknownResourceCode: -32002 | -32602;
}

/** Lists that both eras have, by method. */
export const listMethods: readonly MethodRule[] = [
  list('tools/list', { member: 'tools', subject: 'tool', key: 'name' }),
  list('prompts/list', { member: 'prompts', subject: 'prompt', key: 'name' }),
  list('resources/list', { member: 'resources', subject: 'resource', key: 'uri' }),
  list('resources/templates/list', { member: 'resourceTemplates', subject: 'resource', key: 'uriTemplate' }),
];

/** Methods about one tool, prompt or resource that both eras have. */
export const subjectMethods: readonly MethodRule[] = [
  { name: 'tools/call', subject: 'tool', repeatable: false },
  { name: 'prompts/get', subject: 'prompt', repeatable: true },
  { name: 'resources/read', subject: 'resource', repeatable: true },
];

/** A method about a task that a call has become: what policy says of the tool counts. */
export function taskMethod(name: string): MethodRule {
  return { name, subject: 'task', repeatable: name !== 'tasks/update' };
}

/** A method of the protocol itself: everyone who is authenticated may use it. */
export function protocolMethod(name: string): MethodRule {
  return { name, subject: 'none', repeatable: true };
}

export function methodTable(...rules: readonly MethodRule[]): ReadonlyMap<string, MethodRule> {
  return new Map(rules.map((rule) => [rule.name, rule]));
}

function list(name: string, rule: ListRule): MethodRule {
  return { name, subject: 'none', list: rule, repeatable: true };
}
