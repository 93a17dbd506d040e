import {
  type CompiledRule,
  type RouteEntry,
  ruleCondition,
  type RuleCondition,
  type RuleField,
} from '@signalbox/config';
import { isCarriedRequest } from './a2a.ts';
import { callersOf, describeCaller, isFrom } from './callers.ts';
import { judge, type Verdict } from './condition.ts';
import { type Caller, protocolMethods, readField, type Reading, type Topic, topicsOf } from './fields.ts';
import { all, any, type Formula, not, sizeOf, value } from './formula.ts';

/** What the rules of a route come to. */
export interface Enforcement {
  /** By name, sorted: a request is allowed if one of them holds. */
  readonly allow: ReadonlyMap<string, Formula>;
  /** Paths in a tools/call that they read, sorted. */
  readonly paths: readonly string[];
  /** What they ask that Envoy cannot tell, by rule; it then denies. */
  readonly gaps: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Matchers of one route: beyond that a request costs too much, and the configuration of every node, too. */
const maxMatchers = 5_000;

/**
 * Ordered rules of which the first match wins → conditions that only allow: each rule that allows, and none of those
 * before it matches or errs.
 */
export function enforce(route: RouteEntry): Enforcement {
  const rules = route.authorization.rules.map((rule): ReadRule => ({ rule, condition: ruleCondition(rule.when) }));
  const callers = callersOf(route.authentication);
  const found = new Findings();
  if (callers.length === 0) return found.sorted();
  if (route.kind === 'mcp') {
    found.allow.set('protocol', all([isFrom(callers), anyMethod()]));
    found.allow.set('streams', all([isFrom(callers), anyStream()]));
  }
  // Callers differ only to rules that read who calls.
  const groups = rules.some(({ condition }) => readsPrincipal(condition))
    ? callers.map((caller) => [caller])
    : [callers];
  for (const group of groups) {
    for (const topic of topicsOf(route))
      addTopic(found, { route, rules, topic, callers: group, alone: groups.length === 1 });
  }
  if ([...found.allow.values()].reduce((size, formula) => size + sizeOf(formula), 0) > maxMatchers) {
    found.allow.clear();
    found.add('all rules', `more than ${maxMatchers} comparisons on one route`);
  }
  return found.sorted();
}

interface ReadRule {
  readonly rule: CompiledRule;
  readonly condition: RuleCondition;
}

interface Part {
  readonly route: RouteEntry;
  readonly rules: readonly ReadRule[];
  readonly topic: Topic;
  readonly callers: readonly Caller[];
  /** There are no other callers. */
  readonly alone: boolean;
}

class Findings {
  readonly allow = new Map<string, Formula>();
  readonly gaps = new Map<string, Set<string>>();

  add(rule: string, ...features: readonly string[]): void {
    if (features.length === 0) return;
    const present = this.gaps.get(rule) ?? new Set();
    for (const feature of features) present.add(feature);
    this.gaps.set(rule, present);
  }

  sorted(): Enforcement {
    const allow = new Map([...this.allow].sort(([a], [b]) => (a < b ? -1 : 1)));
    const paths = [...new Set([...allow.values()].flatMap(argumentPaths))].sort();
    return { allow, paths, gaps: this.gaps };
  }
}

interface JudgedRule extends ReadRule {
  readonly verdict: Verdict;
}

function addTopic(found: Findings, part: Part): void {
  const { route, rules, topic, callers, alone } = part;
  const [caller] = callers;
  if (caller === undefined) return;
  const read = (field: RuleField): Reading => readField(field, route, topic, caller);
  const earlier: JudgedRule[] = [];
  for (const { rule, condition } of rules) {
    if (!concerns(rule, topic)) continue;
    const judged = { rule, condition, verdict: judge(condition, read) };
    if (rule.effect === 'allow') {
      const terms = [isFrom(callers), isAbout(topic), judged.verdict.yes, ...unlessEarlier(found, earlier, judged)];
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
function concerns({ expression }: CompiledRule, topic: Topic): boolean {
  if (expression.topic !== 'any') return expression.topic === topic.name;
  return (topic.name !== 'http' && topic.name !== 'a2a') || !expression.readsMcp;
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

/** Paths of arguments in a condition. */
function argumentPaths(formula: Formula): readonly string[] {
  if ('terms' in formula) return formula.terms.flatMap(argumentPaths);
  if (formula.kind === 'not') return argumentPaths(formula.term);
  const isArgument = formula.kind === 'value' && formula.filter === 'mcp' && formula.path[1] === 'arguments';
  return isArgument ? [formula.path.join('.')] : [];
}

function readsPrincipal(condition: RuleCondition): boolean {
  if ('terms' in condition) return condition.terms.some(readsPrincipal);
  if (condition.kind === 'not') return readsPrincipal(condition.term);
  if (condition.kind === 'choice') return [condition.test, condition.then, condition.else].some(readsPrincipal);
  return 'field' in condition && condition.field.variable === 'principal';
}

function isAbout({ name, methods, subject }: Topic): Formula {
  if (name === 'http') return all([servedMethod, not(oddPath)]);
  if (name === 'a2a') return isCarriedRequest;
  return all([
    any(methods.map((text) => value('mcp', ['method'], { is: 'exact', text }))),
    value('mcp', ['params', subject], { is: 'any-text' }),
  ]);
}

/** What the gate of our own proxy lets pass. */
const servedMethod: Formula = {
  kind: 'header',
  name: ':method',
  match: { is: 'regex', text: 'GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS' },
};

/**
 * A path that our own proxy refuses because another one could mean the same: an empty or a dot segment, an escape that is
 * needless, malformed or hides a separator, a character that has to be escaped.
 */
const oddPath: Formula = {
  kind: 'path',
  match: {
    is: 'regex',
    text: [
      '(?s:.*)(?:',
      ...['//|/\\.\\.?(?:/|$)|', '%(?:[^0-9A-F]|[0-9A-F][^0-9A-F]|[0-9A-F]?$)|'],
      '%(?:00|2[DEF]|3[0-9]|4[1-9A-F]|5[0-9ACF]|6[1-9A-F]|7[0-9AE])|',
      "[^!$%&'()*+,./0-9:;=@A-Z\\[\\]_a-z~-]",
      ')(?s:.*)',
    ].join(''),
  },
};

function anyMethod(): Formula {
  return any([
    value('mcp', ['method'], { is: 'prefix', text: 'notifications/' }),
    ...protocolMethods.map((text) => value('mcp', ['method'], { is: 'exact', text })),
  ]);
}

/** The GET stream of the legacy era and the end of its session: neither has a message. */
function anyStream(): Formula {
  return all([
    any(['DELETE', 'GET'].map((text) => ({ kind: 'header', name: ':method', match: { is: 'exact', text } }))),
    not(value('mcp', ['method'], { is: 'present' })),
  ]);
}
