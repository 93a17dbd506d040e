import type { AuthorizationTable, CompiledRule, Decision, DecisionInput, Subject } from './authorization.ts';
import { describeResult } from './cel.ts';
import { guardHolds } from './guard.ts';
import { isAbout, nameOf, type TopicIndex } from './rule-index.ts';
import { Variables } from './variables.ts';

/**
 * Decides whether a request may do what it wants to. Rules are read in order and the first match wins; no match denies,
 * and so does an expression that cannot be evaluated, whatever its effect. Only rules about the kind of the subject, or
 * about any, are read.
 *
 * A tool without `args` is a question about listing: may some call of it be allowed? Terms of an `&&` chain that read
 * `args` then count as true in a rule that allows; a rule that denies and reads `args` does not match, and an error in
 * a rule that reads `args` is passed over. So every tool that can be called is listed.
 */
export function decide(authorization: AuthorizationTable, input: DecisionInput): Decision {
  const { rules, index } = authorization;
  const name = nameOf(input.subject);
  const topic: TopicIndex = index[input.subject.kind];
  const named = topic.byName.get(name) ?? none;
  const { others } = topic;
  const variables = new Variables(input);
  // Both lists ascend: reading the lower position first keeps the order of the rules.
  for (let atNamed = 0, atOther = 0; atNamed < named.length || atOther < others.length;) {
    const nextNamed = named[atNamed] ?? Number.POSITIVE_INFINITY;
    const nextOther = others[atOther] ?? Number.POSITIVE_INFINITY;
    if (nextNamed < nextOther) atNamed += 1;
    else atOther += 1;
    const rule = rules[Math.min(nextNamed, nextOther)] as CompiledRule;
    const result = judge(rule, name, variables);
    if (result === true) return rule.decision;
    if (result !== false) return failure(rule, result);
  }
  return noMatch;
}

/**
 * {@link decide} for a member of a federation: first the rules of the route, which see what the client names, then the
 * rules of policies on the member's backend, which see it as the backend has it. As in one list, the first match wins. A
 * quarantine of the backend comes before all of them.
 *
 * @param own the subject as the member has it.
 */
export function decideForMember(
  authorization: AuthorizationTable,
  ofMember: AuthorizationTable,
  input: DecisionInput,
  own: Subject,
): Decision {
  if (ofMember.quarantine) return ofMember.quarantine;
  const decision = decide(authorization, input);
  return decision === noMatch && ofMember.rules.length > 0 ? decide(ofMember, { ...input, subject: own }) : decision;
}

/** For each tool, whether it is listed: {@link decide} without arguments. */
export function visibleTools(
  authorization: AuthorizationTable,
  input: Omit<DecisionInput, 'subject'>,
  names: readonly string[],
): boolean[] {
  return names.map((name) => decide(authorization, { ...input, subject: { kind: 'tool', name } }).allowed);
}

/** What happened to one rule while a decision was explained. */
export interface ExplainStep {
  readonly rule: string;
  readonly effect: 'allow' | 'deny';
  readonly when: string;
  readonly outcome: 'match' | 'no match' | 'not about this' | 'error' | 'not reached';
  /** Why, where the outcome does not say it; else empty. */
  readonly detail: string;
}

export interface Explanation {
  readonly decision: Decision;
  /** One for each rule, in order. */
  readonly steps: readonly ExplainStep[];
}

/** The decision of {@link decide}, with what happened to every rule. */
export function explain(authorization: AuthorizationTable, input: DecisionInput): Explanation {
  const name = nameOf(input.subject);
  const variables = new Variables(input);
  let decision: Decision | undefined;
  const steps = authorization.rules.map((rule): ExplainStep => {
    const { id, effect, when, expression } = rule;
    const step = { rule: id, effect, when, detail: '' };
    if (!isAbout(expression, input.subject.kind)) {
      return { ...step, outcome: 'not about this', detail: `is about ${topicNames[expression.topic]}` };
    }
    if (decision !== undefined) return { ...step, outcome: 'not reached' };
    const result = judge(rule, name, variables);
    if (result === true) {
      decision = rule.decision;
      return { ...step, outcome: 'match' };
    }
    if (result === false) return { ...step, outcome: 'no match' };
    decision = failure(rule, result);
    return { ...step, outcome: 'error', detail: describeResult(result) };
  });
  return { decision: decision ?? noMatch, steps };
}

/** {@link decideForMember}, with what happened to every rule. */
export function explainForMember(
  authorization: AuthorizationTable,
  ofMember: AuthorizationTable,
  input: DecisionInput,
  own: Subject,
): Explanation {
  const first = explain(authorization, input);
  const second = explain(ofMember, { ...input, subject: own });
  if (ofMember.quarantine)
    return { decision: second.decision, steps: [...second.steps, ...first.steps.map(passedOver)] };
  if (first.decision === noMatch) return { decision: second.decision, steps: [...first.steps, ...second.steps] };
  return { decision: first.decision, steps: [...first.steps, ...second.steps.map(passedOver)] };
}

function passedOver(step: ExplainStep): ExplainStep {
  return step.outcome === 'not about this' ? step : { ...step, outcome: 'not reached', detail: '' };
}

const topicNames: Readonly<Record<CompiledRule['expression']['topic'], string>> = {
  tool: 'tools',
  prompt: 'prompts',
  resource: 'resources',
  http: 'HTTP requests',
  a2a: 'A2A requests',
  any: 'MCP',
};
const none: readonly number[] = [];
const noMatch: Decision = Object.freeze({ allowed: false, rule: '', reason: 'no rule matched' });

function failure(rule: CompiledRule, result: unknown): Decision {
  return { allowed: false, rule: rule.id, reason: `${rule.id} cannot be evaluated: ${describeResult(result)}` };
}

/** True for a match, false for none, anything else for an error. */
function judge({ effect, expression }: CompiledRule, name: string, variables: Variables): unknown {
  if (expression.guard !== undefined && !guardHolds(expression.guard, name)) return false;
  if (!expression.readsArgs || !variables.listing) return expression.evaluate(variables);
  return effect === 'allow' && expression.evaluateWithoutArgs(variables) === true;
}
