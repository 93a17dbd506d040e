import {
  type CompiledRule,
  type RouteEntry,
  ruleCondition,
  type RuleCondition,
  type RuleField,
} from '@signalbox/config';
import { judge, type Verdict } from './condition.ts';
import { all, any, type Formula, sizeOf } from './formula.ts';
import { type Caller, describeCaller, type Reading } from './reading.ts';

/** What a data plane knows of requests on a route. */
export interface RouteReader<T extends { readonly name: string }> {
  /** What requests on the route may be about. */
  readonly topics: readonly T[];
  readonly callers: readonly Caller[];
  /** What a field is for requests of a caller about a topic. */
  read(field: RuleField, topic: T, caller: Caller): Reading;
  /** What of a pattern it cannot match as our proxy does; undefined: nothing. */
  readonly patternGap: (pattern: string) => string | undefined;
  /** Whether a request is from one of these callers. */
  isFrom(callers: readonly Caller[]): Formula;
  isAbout(topic: T): Formula;
}

/** What the rules of a route come to. */
export interface OrderedRules {
  /** By name: a request about a topic is allowed if one of them holds. */
  readonly allow: ReadonlyMap<string, Formula>;
  /** What they ask that the data plane cannot tell, by rule; it then denies. */
  readonly gaps: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Matchers of one route: beyond that a request costs too much, and the configuration of every node, too. */
const maxMatchers = 5_000;

/**
 * Ordered rules of which the first match wins → conditions that only allow: each rule that allows, and none of those
 * before it matches or errs.
 */
export function orderedRules<T extends { readonly name: string }>(
  route: RouteEntry,
  reader: RouteReader<T>,
): OrderedRules {
  const rules = route.authorization.rules.map((rule): ReadRule => ({ rule, condition: ruleCondition(rule.when) }));
  const { callers } = reader;
  const found = new Findings();
  if (callers.length === 0) return found;
  // Callers differ only to rules that read who calls.
  const groups = rules.some(({ condition }) => readsPrincipal(condition))
    ? callers.map((caller) => [caller])
    : [callers];
  for (const group of groups) {
    for (const topic of reader.topics)
      addTopic(found, { reader, rules, topic, callers: group, alone: groups.length === 1 });
  }
  if ([...found.allow.values()].reduce((size, formula) => size + sizeOf(formula), 0) > maxMatchers) {
    found.allow.clear();
    found.add('all rules', `more than ${maxMatchers} comparisons on one route`);
  }
  return found;
}

interface ReadRule {
  readonly rule: CompiledRule;
  readonly condition: RuleCondition;
}

interface Part<T extends { readonly name: string }> {
  readonly reader: RouteReader<T>;
  readonly rules: readonly ReadRule[];
  readonly topic: T;
  readonly callers: readonly Caller[];
  /** There are no other callers. */
  readonly alone: boolean;
}

class Findings implements OrderedRules {
  readonly allow = new Map<string, Formula>();
  readonly gaps = new Map<string, Set<string>>();

  add(rule: string, ...features: readonly string[]): void {
    if (features.length === 0) return;
    const present = this.gaps.get(rule) ?? new Set();
    for (const feature of features) present.add(feature);
    this.gaps.set(rule, present);
  }
}

interface JudgedRule extends ReadRule {
  readonly verdict: Verdict;
}

function addTopic<T extends { readonly name: string }>(found: Findings, part: Part<T>): void {
  const { reader, rules, topic, callers, alone } = part;
  const [caller] = callers;
  if (caller === undefined) return;
  const read = (field: RuleField): Reading => reader.read(field, topic, caller);
  const earlier: JudgedRule[] = [];
  for (const { rule, condition } of rules) {
    if (!concerns(rule, topic.name)) continue;
    const judged = { rule, condition, verdict: judge(condition, read, reader.patternGap) };
    if (rule.effect === 'allow') {
      const terms = [
        reader.isFrom(callers),
        reader.isAbout(topic),
        judged.verdict.yes,
        ...unlessEarlier(found, earlier, judged),
      ];
      found.add(rule.id, ...judged.verdict.yesGaps);
      const formula = all(terms);
      const name = `${topic.name} ${rule.id}${alone ? '' : ` ${describeCaller(caller)}`}`;
      if (formula.kind !== 'never') found.allow.set(name, any([found.allow.get(name) ?? { kind: 'never' }, formula]));
    }
    earlier.push(judged);
    if (judged.verdict.yes.kind === 'always') return;
  }
}

/** As at our own proxy: a rule that reads `mcp` says nothing about requests that are not of it. */
function concerns({ expression }: CompiledRule, topic: string): boolean {
  if (expression.topic !== 'any') return expression.topic === topic;
  return !expression.readsMcp || (topic !== 'http' && topic !== 'a2a');
}

/** That no rule before one that allows comes to another decision, or errs. */
function unlessEarlier(found: Findings, earlier: readonly JudgedRule[], allowing: JudgedRule): readonly Formula[] {
  return earlier.flatMap(({ rule, verdict }) => {
    if (rule.effect === 'allow' && verdict.total) return [];
    if (disjoint(rule, allowing.rule)) return [];
    found.add(rule.id, ...verdict.noGaps);
    return [verdict.no];
  });
}

/** Both name their subjects, and none is in both: where one matches the other is false. */
function disjoint(a: CompiledRule, b: CompiledRule): boolean {
  const [first, second] = [a.expression.guard, b.expression.guard];
  if (first === undefined || second === undefined || 'prefix' in first || 'prefix' in second) return false;
  return !first.names.some((name) => second.names.includes(name));
}

function readsPrincipal(condition: RuleCondition): boolean {
  if ('terms' in condition) return condition.terms.some(readsPrincipal);
  if (condition.kind === 'not') return readsPrincipal(condition.term);
  if (condition.kind === 'choice') return [condition.test, condition.then, condition.else].some(readsPrincipal);
  return 'field' in condition && condition.field.variable === 'principal';
}
