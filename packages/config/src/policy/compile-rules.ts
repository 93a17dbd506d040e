import { AuthorizationRule_Effect } from '@signalbox/proto/signalbox/config/v1/authorization_pb.ts';
import type { Policy } from '@signalbox/proto/signalbox/config/v1/policy_pb.ts';
import { digestOf } from '../digest.ts';
import type { ProblemList } from '../problem.ts';
import { drain } from '../steps.ts';
import type { AuthorizationTable, CompiledRule } from './authorization.ts';
import { type CompiledExpression, compileExpression } from './expression.ts';
import { indexRules } from './rule-index.ts';

/** Expressions compiled so far, by their text: many policies repeat the same ones. */
export type ExpressionMemo = Map<string, CompiledExpression>;

/** What a rule says, before it is compiled. */
export interface RuleSource {
  /** Empty: the rule is known by its position. */
  readonly name?: string;
  readonly effect: 'allow' | 'deny';
  readonly when: string;
}

/** Reports the faults of a policy's expressions. */
export function checkRules(policyName: string, policy: Policy, found: ProblemList): void {
  drain(compileRulesSteps(policyName, policy, found, new Map()));
}

/** The rules of one policy; pauses after each expression that had to be compiled. Rules with a fault are left out. */
export function* compileRulesSteps(
  policyName: string,
  policy: Policy,
  found: ProblemList,
  memo: ExpressionMemo,
): Generator<void, readonly CompiledRule[]> {
  const rules: CompiledRule[] = [];
  for (const [at, { name, effect, when }] of policy.authorization.entries()) {
    let compiled = memo.get(when);
    if (compiled === undefined) {
      compiled = compileExpression(when);
      memo.set(when, compiled);
      yield;
    }
    const field = `spec.authorization[${at}].when`;
    for (const message of compiled.errors) found.error('bad-expression', field, message);
    for (const message of compiled.warnings) found.warn('bad-expression', field, message);
    if (compiled.expression === undefined) continue;
    const id = ruleId(policyName, name, at);
    rules.push(makeRule(id, effect === AuthorizationRule_Effect.ALLOW ? 'allow' : 'deny', when, compiled.expression));
  }
  return rules;
}

/** Rules → table, outside of any policy: for tests of what decides. Throws on a rule that does not compile. */
export function compileAuthorization(sources: readonly RuleSource[]): AuthorizationTable {
  const rules = sources.map(({ name = '', effect, when }, at) => {
    const { expression, errors } = compileExpression(when);
    if (expression === undefined) throw new Error(`rule ${at}: ${errors.join('; ')}`);
    return makeRule(ruleId('inline', name, at), effect, when, expression);
  });
  return makeAuthorizationTable(rules);
}

/** A rule that denies everything, by the policy that has a quarantine. */
export function quarantineRule(policyName: string): CompiledRule {
  return makeRule(ruleId(policyName, 'quarantine', 0), 'deny', 'true', everything);
}

const everything = compileExpression('true').expression as CompiledRule['expression'];

/**
 * The table of rules in the order in which they are read.
 * @param quarantine comes before all of them.
 */
export function makeAuthorizationTable(
  ordered: readonly CompiledRule[],
  quarantine?: CompiledRule,
): AuthorizationTable {
  const rules = quarantine ? [quarantine, ...ordered] : ordered;
  return Object.freeze({
    quarantine: quarantine?.decision,
    digest: digestOf(JSON.stringify(rules.map(({ id, effect, when }) => [id, effect, when]))),
    rules: Object.freeze([...rules]),
    readsArgs: rules.some((rule) => rule.expression.readsArgs),
    readsMoment: rules.some((rule) => rule.expression.readsMoment),
    index: indexRules(rules),
  });
}

function ruleId(policyName: string, name: string, position: number): string {
  return `policy/${policyName}/${name === '' ? position : name}`;
}

function makeRule(
  id: string,
  effect: 'allow' | 'deny',
  when: string,
  expression: CompiledRule['expression'],
): CompiledRule {
  const decision = Object.freeze({ allowed: effect === 'allow', rule: id, reason: 'matched' });
  return Object.freeze({ id, effect, when, expression, decision });
}
