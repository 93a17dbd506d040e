import { type Expr, parseExpression } from './cel.ts';
import { booleanOf, children, stringOf, variableOf } from './syntax-tree.ts';

/**
 * What an expression asks, in terms that other data planes have too. Evaluation is as in CEL: a term is true, false or an
 * error; `&&` is false and `||` true as soon as one term is, whatever the others give.
 */
export type RuleCondition =
  | { readonly kind: 'constant'; readonly value: boolean }
  | { readonly kind: 'all' | 'any'; readonly terms: readonly RuleCondition[] }
  | { readonly kind: 'not'; readonly term: RuleCondition }
  | {
      readonly kind: 'choice';
      readonly test: RuleCondition;
      readonly then: RuleCondition;
      readonly else: RuleCondition;
    }
  /** `has(field)`: false for null; an error when what is around the field is no map. */
  | { readonly kind: 'has'; readonly field: RuleField }
  /** `field == value`: an error when the field is missing, false when it has another type. */
  | { readonly kind: 'equals'; readonly field: RuleField; readonly value: RuleLiteral }
  /** `value in field`: an error unless the field is a list or map. */
  | { readonly kind: 'holds'; readonly field: RuleField; readonly value: RuleLiteral }
  /** A test of a text: an error for anything else. */
  | { readonly kind: 'text'; readonly test: TextTest; readonly field: RuleField; readonly text: string }
  /** A comparison of numbers: an error for anything else. */
  | { readonly kind: 'order'; readonly test: OrderTest; readonly field: RuleField; readonly value: bigint | number }
  /** The field itself: an error unless it is true or false. */
  | { readonly kind: 'flag'; readonly field: RuleField }
  /** What none of the others can say; `feature` names it for people. */
  | { readonly kind: 'other'; readonly feature: string };

/** A path below a variable, such as `args` and `project`. */
export interface RuleField {
  readonly variable: string;
  readonly path: readonly string[];
}

export type RuleLiteral = string | bigint | number | boolean | null;
export type TextTest = 'startsWith' | 'endsWith' | 'contains' | 'matches';
export type OrderTest = '<' | '<=' | '>' | '>=';

/** Reads an expression that has been compiled before. Throws if it cannot be parsed. */
export function ruleCondition(when: string): RuleCondition {
  return read(parseExpression(when).expr);
}

/**
 * An upper bound on the terms of a pattern after counted repetitions are written out; infinite for patterns with classes
 * of Unicode, whose size only the engine knows, and with `\Q`, which nothing may be put behind.
 */
export function patternSize(pattern: string): number {
  if (/\\[pPQ]|[^\x20-\x7e]/.test(pattern)) return Number.POSITIVE_INFINITY;
  const counts = [...pattern.matchAll(/\{(\d+)(?:,(\d*))?\}/g)].map(([, least, most]) => Number(most || least) + 1);
  return counts.reduce((size, count) => size * count, pattern.length);
}

function read(expr: Expr): RuleCondition {
  const constant = booleanOf(expr);
  if (constant !== undefined) return { kind: 'constant', value: constant };
  const { exprKind: node } = expr;
  if (node.case === 'selectExpr' && node.value.testOnly) {
    const around = node.value.operand && fieldOf(node.value.operand);
    return around ? { kind: 'has', field: below(around, node.value.field) } : other('has() of what is no field');
  }
  if (node.case === 'callExpr') return readCall(node.value.function, node.value.target, node.value.args);
  if (node.case === 'comprehensionExpr') return other('a loop over a list or map');
  const field = fieldOf(expr);
  return field ? { kind: 'flag', field } : other('a term that is no comparison');
}

function readCall(name: string, target: Expr | undefined, args: readonly Expr[]): RuleCondition {
  const [left, right, last] = args;
  switch (name) {
    case '_&&_':
      return { kind: 'all', terms: args.map(read) };
    case '_||_':
      return { kind: 'any', terms: args.map(read) };
    case '!_':
      return left ? { kind: 'not', term: read(left) } : other(name);
    case '_?_:_':
      return left && right && last
        ? { kind: 'choice', test: read(left), then: read(right), else: read(last) }
        : other(name);
    case '_==_':
      return readEquality(left, right);
    case '_!=_':
      return { kind: 'not', term: readEquality(left, right) };
    case '@in':
      return readMembership(left, right);
    case '_<_':
    case '_<=_':
    case '_>_':
    case '_>=_':
      return readOrder(name.slice(1, -1) as OrderTest, left, right);
    case 'startsWith':
    case 'endsWith':
    case 'contains':
    case 'matches':
      return readText(name, target, left);
    case '_[_]':
      return readIndexed(target, args);
    default:
      return other(`the function ${name}`);
  }
}

function readIndexed(target: Expr | undefined, args: readonly Expr[]): RuleCondition {
  const field = target === undefined ? indexed(args) : undefined;
  return field ? { kind: 'flag', field } : other('an index that is no literal text');
}

function readEquality(left: Expr | undefined, right: Expr | undefined): RuleCondition {
  for (const [subject, literal] of [
    [left, right],
    [right, left],
  ]) {
    const field = subject && fieldOf(subject);
    const value = literalOf(literal);
    if (field && value !== undefined) return { kind: 'equals', field, value };
  }
  return other('a comparison of two fields, or of a computed value');
}

function readMembership(item: Expr | undefined, list: Expr | undefined): RuleCondition {
  const value = literalOf(item);
  const holder = list && fieldOf(list);
  if (value !== undefined && holder) return { kind: 'holds', field: holder, value };
  const field = item && fieldOf(item);
  if (field === undefined || list?.exprKind.case !== 'listExpr') return other('`in` of a computed value or list');
  const values = list.exprKind.value.elements.map(literalOf);
  if (!values.every((entry) => entry !== undefined)) return other('`in` of a computed list');
  // An empty list still needs the field to be there.
  const [first, ...rest] = values.map((entry): RuleCondition => ({ kind: 'equals', field, value: entry }));
  if (first === undefined) return other('`in` of an empty list');
  return rest.length === 0 ? first : { kind: 'any', terms: [first, ...rest] };
}

const mirrored: Readonly<Record<OrderTest, OrderTest>> = { '<': '>', '<=': '>=', '>': '<', '>=': '<=' };

function readOrder(test: OrderTest, left: Expr | undefined, right: Expr | undefined): RuleCondition {
  for (const [subject, literal, how] of [
    [left, right, test],
    [right, left, mirrored[test]],
  ] as const) {
    const field = subject && numberField(subject);
    const value = literalOf(literal);
    if (field && (typeof value === 'bigint' || typeof value === 'number')) {
      return { kind: 'order', test: how, field, value };
    }
  }
  return other('a comparison of what are no numbers, or of two fields');
}

/** A field, or `double(field)`. */
function numberField(expr: Expr): RuleField | undefined {
  const { exprKind: node } = expr;
  const inner = node.case === 'callExpr' && node.value.function === 'double' ? node.value.args[0] : expr;
  return inner && fieldOf(inner);
}

function readText(test: TextTest, target: Expr | undefined, argument: Expr | undefined): RuleCondition {
  const field = target && fieldOf(target);
  const text = stringOf(argument);
  return field && text !== undefined ? { kind: 'text', test, field, text } : other(`${test}() of a computed text`);
}

/** A chain of fields below a variable. */
function fieldOf(expr: Expr): RuleField | undefined {
  const variable = variableOf(expr);
  if (variable !== undefined) return { variable, path: [] };
  const { exprKind: node } = expr;
  if (node.case === 'selectExpr' && !node.value.testOnly) {
    const around = node.value.operand && fieldOf(node.value.operand);
    return around && below(around, node.value.field);
  }
  return node.case === 'callExpr' && node.value.function === '_[_]' ? indexed(node.value.args) : undefined;
}

function indexed([holder, index]: readonly Expr[]): RuleField | undefined {
  const name = stringOf(index);
  const around = holder && fieldOf(holder);
  return around && name !== undefined ? below(around, name) : undefined;
}

function below({ variable, path }: RuleField, name: string): RuleField {
  return { variable, path: [...path, name] };
}

function literalOf(expr: Expr | undefined): RuleLiteral | undefined {
  if (expr === undefined) return undefined;
  if (expr.exprKind.case === 'callExpr' && expr.exprKind.value.function === '-_') {
    const negated = literalOf(children(expr)[0]);
    return typeof negated === 'bigint' || typeof negated === 'number' ? -negated : undefined;
  }
  if (expr.exprKind.case !== 'constExpr') return undefined;
  const { constantKind: constant } = expr.exprKind.value;
  switch (constant.case) {
    case 'stringValue':
    case 'int64Value':
    case 'doubleValue':
    case 'boolValue':
      return constant.value;
    case 'nullValue':
      return null;
    case 'bytesValue':
    case 'durationValue':
    case 'timestampValue':
    case 'uint64Value':
    case undefined:
      return undefined;
  }
}

function other(feature: string): RuleCondition {
  return { kind: 'other', feature };
}
