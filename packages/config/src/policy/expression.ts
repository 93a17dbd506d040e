import { isCelError } from '@bufbuild/cel';
import type { DecisionInput, Subject } from './authorization.ts';
import { celLimits, describeResult, type Evaluate, type Expr, type LoopBound } from './cel.ts';
import { type Parsed, parseExpression, planExpression } from './cel.ts';
import { checkTree, loopDepth, type NodeFault } from './expression-check.ts';
import { compileFastPath } from './fast-path.ts';
import { type Guard, guardOf } from './guard.ts';
import { callOf, children, conjunction, conjuncts, reads } from './syntax-tree.ts';
import { Variables } from './variables.ts';

/** What a rule is about: the kind of subject whose variables its expression reads, or any. */
type Topic = Subject['kind'] | 'any';

/** An expression, ready to be evaluated. Immutable and without state: shared by all rules with the same text. */
export interface Expression {
  readonly topic: Topic;
  readonly readsArgs: boolean;
  /** Reads `now` or `session`: its outcome may differ from one request of a caller to the next. */
  readonly readsMoment: boolean;
  /** Reads `mcp`, which requests of other protocols do not have. */
  readonly readsMcp: boolean;
  /** A condition on the subject's name that the expression implies; undefined if none was recognised. */
  readonly guard: Guard | undefined;
  /** Gives true, false, or anything else for an error. Does not run when the guard does not hold. */
  readonly evaluate: (variables: Variables) => unknown;
  /** The same without the terms that read `args`, as for listing tools. */
  readonly evaluateWithoutArgs: (variables: Variables) => unknown;
}

/** A compiled expression, or why there is none; warnings in both cases. Messages begin with the position, `at 1:5:`. */
export interface CompiledExpression {
  readonly expression?: Expression;
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

/** Parses, checks and plans an expression. Costs 0.1 to 10 ms, most of it parsing. Never throws. */
export function compileExpression(source: string): CompiledExpression {
  if (source.length > celLimits.source) {
    return failed([`has ${source.length} characters; at most ${celLimits.source} are allowed`]);
  }
  try {
    const parsed = parseExpression(source);
    const errors = checkTree(parsed.expr).map((fault) => `${place(source, parsed, fault.id)}: ${fault.message}`);
    return errors.length > 0 ? failed(errors) : compileTree(source, parsed);
  } catch (error) {
    return failed([syntaxFault(error)]);
  }
}

function compileTree(source: string, parsed: Parsed): CompiledExpression {
  const read = topicVariables.filter(([variable]) => reads(parsed.expr, variable));
  const topic = read[0]?.[1] ?? 'any';
  const other = read.find((entry) => entry[1] !== topic);
  if (other !== undefined) {
    return failed([`reads both ${read[0]?.[0]} and ${other[0]}, which no request has: write one rule for each`]);
  }
  const expr = boundLoops(parsed.expr, loopDepth(parsed.expr) > 1 ? '@boundedNested' : '@bounded');
  const guarded = guardOf(expr);
  const withoutArgs = conjunction(conjuncts(expr).filter((term) => !reads(term, 'args')));
  const expression: Expression = {
    topic,
    readsArgs: reads(expr, 'args'),
    readsMoment: reads(expr, 'now') || reads(expr, 'session'),
    readsMcp: reads(expr, 'mcp'),
    guard: guarded?.guard,
    evaluate: guarded?.whole === true ? alwaysTrue : evaluator(expr),
    evaluateWithoutArgs: withoutArgs === undefined ? alwaysTrue : evaluator(withoutArgs),
  };
  const fault = canaryFault(planExpression(expr), topic);
  if (fault !== undefined) return failed([`${place(source, parsed, fault.id)}: ${fault.message}`]);
  const warnings = unguardedReads(expr).map(
    ({ id, text }) =>
      `${place(source, parsed, id)}: denies every call without ${text}; test has(${text}) first if that is not meant`,
  );
  return { expression, errors: [], warnings };
}

/** The variables that say what a rule is about. */
const topicVariables = [
  ['tool', 'tool'],
  ['args', 'tool'],
  ['prompt', 'prompt'],
  ['resource', 'resource'],
  ['http', 'http'],
  ['a2a', 'a2a'],
] as const;

function failed(errors: readonly string[]): CompiledExpression {
  return { errors, warnings: [] };
}

const alwaysTrue = (): boolean => true;

/** The fast path where it is sure, the interpreter for the rest. */
function evaluator(expr: Expr): Expression['evaluate'] {
  const interpret = planExpression(expr);
  const fast = compileFastPath(expr);
  return fast === undefined ? interpret : (variables) => fast(variables.input) ?? interpret(variables);
}

/** The tree with a check of size around everything that a loop runs over, and every list that `in` searches. */
function boundLoops(expr: Expr, bound: LoopBound): Expr {
  const node = expr.exprKind;
  if (node.case === 'comprehensionExpr' && node.value.iterRange !== undefined) {
    node.value.iterRange = callOf(node.value.iterRange, bound, [node.value.iterRange]);
  }
  if (node.case === 'callExpr' && node.value.function === '@in') {
    const [item, list] = node.value.args;
    if (item !== undefined && list !== undefined && mayBeLong(list)) {
      node.value.args = [item, callOf(list, '@boundedList', [list])];
    }
  }
  for (const child of children(expr)) boundLoops(child, bound);
  return expr;
}

/** Not a list that is written out, nor the groups of a principal, which the size of a token bounds. */
function mayBeLong(list: Expr): boolean {
  return list.exprKind.case !== 'listExpr' && pathText(list) !== 'principal.groups';
}

/**
 * Evaluates once on made-up input and reports what cannot depend on the input: operators that do not exist for the
 * types of the fields, and results that are not true or false.
 */
function canaryFault(evaluate: Evaluate, topic: Topic): NodeFault | undefined {
  const result = evaluate(new Variables({ ...canary, subject: canarySubjects[topic] }));
  if (typeof result === 'boolean') return undefined;
  if (!isCelError(result)) return { id: 0n, message: describeResult(result) };
  const certain = /no matching overload|unbound function/.test(result.message);
  return certain ? { id: result.exprId ?? 0n, message: describeResult(result) } : undefined;
}

const canary: Omit<DecisionInput, 'subject'> = {
  principal: { id: 'canary', kind: 'jwt', subject: 'canary', issuer: 'canary', groups: ['canary'], claims: new Map() },
  tenant: 'canary',
  backend: 'canary',
  mcp: { method: 'canary', era: 'modern', version: '2026-07-28' },
  request: { host: 'canary', path: '/canary' },
  session: '',
  nowMs: 0,
};

const canarySubjects: Readonly<Record<Topic, Subject>> = {
  any: { kind: 'tool', name: 'canary', args: new Map() },
  tool: { kind: 'tool', name: 'canary', args: new Map() },
  prompt: { kind: 'prompt', name: 'canary' },
  resource: { kind: 'resource', uri: 'canary:' },
  http: { kind: 'http', method: 'GET', path: '/canary', headers: new Map() },
  a2a: { kind: 'a2a', method: 'SendMessage', version: '1.0' },
};

/** Fields of `args` and claims below a negation whose presence the expression does not test: their absence denies. */
function unguardedReads(expr: Expr): readonly { readonly id: bigint; readonly text: string }[] {
  const tested = new Set<string>();
  const negated = new Map<string, bigint>();
  const walk = (node: Expr, below: boolean): void => {
    const { exprKind: kind } = node;
    const text = pathText(node);
    if (text !== undefined && /^(?:args|principal\.claims|http\.headers)\../.test(text)) {
      if (kind.case === 'selectExpr' && kind.value.testOnly) tested.add(text);
      else if (below) negated.set(text, node.id);
    }
    const negates = kind.case === 'callExpr' && (kind.value.function === '!_' || kind.value.function === '_!=_');
    for (const child of children(node)) walk(child, below || negates);
  };
  walk(expr, false);
  return [...negated].filter(([text]) => !tested.has(text)).map(([text, id]) => ({ id, text }));
}

/** `args.a.b` for a chain of fields below a variable. */
function pathText(expr: Expr | undefined): string | undefined {
  if (expr?.exprKind.case === 'identExpr') return expr.exprKind.value.name;
  if (expr?.exprKind.case !== 'selectExpr') return undefined;
  const operand = pathText(expr.exprKind.value.operand);
  return operand === undefined ? undefined : `${operand}.${expr.exprKind.value.field}`;
}

function place(source: string, parsed: Parsed, id: bigint): string {
  const before = source.slice(0, parsed.positions[String(id)] ?? 0);
  const line = before.split('\n').length;
  return `at ${line}:${before.length - before.lastIndexOf('\n')}`;
}

/** What the parser threw: a syntax error with a place, or a RangeError when the nesting is too deep for it. */
function syntaxFault(error: unknown): string {
  if (error instanceof RangeError) return 'is nested too deeply to be read';
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/^<input>:(\d+:\d+): /, 'at $1: cannot be read: ').slice(0, 300);
}
