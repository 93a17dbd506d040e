import type { CompiledRule, Subject } from './authorization.ts';
import type { Expression } from './expression.ts';

/** For each kind of subject, the rules that can match it. */
export type RuleIndex = Readonly<Record<Subject['kind'], TopicIndex>>;

/** Positions of rules in the table, ascending. */
export interface TopicIndex {
  /** Rules that match only subjects of one name, by that name. */
  readonly byName: ReadonlyMap<string, readonly number[]>;
  /** All others. */
  readonly others: readonly number[];
}

/** Sorts rules by what they can match. A rule about any subject is listed under each kind. */
export function indexRules(rules: readonly CompiledRule[]): RuleIndex {
  return {
    tool: indexTopic(rules, 'tool'),
    prompt: indexTopic(rules, 'prompt'),
    resource: indexTopic(rules, 'resource'),
    http: indexTopic(rules, 'http'),
    a2a: indexTopic(rules, 'a2a'),
  };
}

/** Names of a subject: what guards are compared with. */
export function nameOf(subject: Subject): string {
  switch (subject.kind) {
    case 'tool':
    case 'prompt':
      return subject.name;
    case 'resource':
      return subject.uri;
    case 'http':
      return subject.path;
    case 'a2a':
      return subject.method;
  }
}

/** Whether a rule says something about subjects of a kind: it reads their variables, or nothing that they lack. */
export function isAbout({ topic, readsMcp }: Expression, kind: Subject['kind']): boolean {
  if (topic !== 'any') return topic === kind;
  return !readsMcp || (kind !== 'http' && kind !== 'a2a');
}

function indexTopic(rules: readonly CompiledRule[], topic: Subject['kind']): TopicIndex {
  const byName = new Map<string, number[]>();
  const others: number[] = [];
  for (const [position, { expression }] of rules.entries()) {
    if (!isAbout(expression, topic)) continue;
    if (expression.guard === undefined || 'prefix' in expression.guard) {
      others.push(position);
      continue;
    }
    for (const name of new Set(expression.guard.names)) {
      const positions = byName.get(name);
      if (positions === undefined) byName.set(name, [position]);
      else positions.push(position);
    }
  }
  return { byName, others };
}
