import { isCelError } from '@bufbuild/cel';
import { celLimits, compilePattern, type Expr, planExpression, signatures } from './cel.ts';
import { children, stringOf, variableOf } from './syntax-tree.ts';
import { records, values } from './variables.ts';

/** A fault at a node of the tree. */
export interface NodeFault {
  /** Id of the node, to find its position. */
  readonly id: bigint;
  readonly message: string;
}

const operators = new Set(['_&&_/2', '_||_/2', '_?_:_/3', '_[_]/2', '@not_strictly_false/1']);
const typeNames = new Set(['int', 'uint', 'double', 'bool', 'string', 'bytes', 'list', 'map', 'null_type', 'type']);
const conversions = new Set(['int', 'uint', 'double', 'bool', 'timestamp', 'duration']);

/**
 * Finds what would fail only when an expression is evaluated, because the interpreter has no type checker: unknown
 * variables, fields and functions, bad patterns and literals; and what could make an evaluation expensive.
 */
export function checkTree(expr: Expr): readonly NodeFault[] {
  const check = new TreeCheck();
  check.walk(expr, { depth: 1, loops: 0, locals: new Set() });
  return check.faults;
}

/** Depth of loops within loops. */
export function loopDepth(expr: Expr): number {
  const node = expr.exprKind;
  const within = (nodes: readonly (Expr | undefined)[]): number =>
    Math.max(0, ...nodes.map((child) => (child === undefined ? 0 : loopDepth(child))));
  if (node.case !== 'comprehensionExpr') return within(children(expr));
  const { iterRange, accuInit, loopCondition, loopStep, result } = node.value;
  return Math.max(within([iterRange, accuInit, result]), 1 + within([loopCondition, loopStep]));
}

interface Place {
  readonly depth: number;
  readonly loops: number;
  /** Variables of the loops around. */
  readonly locals: ReadonlySet<string>;
}

class TreeCheck {
  readonly faults: NodeFault[] = [];
  #nodes = 0;
  #tooDeep = false;

  walk(expr: Expr, place: Place): void {
    this.#nodes += 1;
    if (this.#nodes > celLimits.nodes) {
      if (this.#nodes === celLimits.nodes + 1) this.#fault(expr, `is too large: more than ${celLimits.nodes} terms`);
      return;
    }
    if (place.depth > celLimits.depth) {
      if (!this.#tooDeep) this.#fault(expr, `is nested more than ${celLimits.depth} levels deep`);
      this.#tooDeep = true;
      return;
    }
    switch (expr.exprKind.case) {
      case 'identExpr':
        this.#variable(expr, expr.exprKind.value.name, place);
        return;
      case 'selectExpr':
        if (this.#isRecord(expr.exprKind.value.operand, place)) {
          this.#field(expr, expr.exprKind.value.operand, expr.exprKind.value.field);
          return;
        }
        break;
      case 'callExpr':
        if (this.#call(expr, expr.exprKind.value, place)) return;
        break;
      case 'listExpr':
        if (expr.exprKind.value.optionalIndices.length > 0) this.#fault(expr, 'optional values are not supported');
        break;
      case 'structExpr':
        if (expr.exprKind.value.messageName !== '') this.#fault(expr, 'messages cannot be built; compare fields');
        break;
      case 'comprehensionExpr':
        this.#loop(expr, expr.exprKind.value, place);
        return;
      case 'constExpr':
      case undefined:
        break;
    }
    for (const child of children(expr)) this.walk(child, { ...place, depth: place.depth + 1 });
  }

  #fault(expr: Expr, message: string): void {
    this.faults.push({ id: expr.id, message });
  }

  #isRecord(expr: Expr | undefined, place: Place): boolean {
    const name = variableOf(expr);
    return name !== undefined && records.has(name) && !place.locals.has(name);
  }

  #variable(expr: Expr, name: string, place: Place): void {
    if (place.locals.has(name) || typeNames.has(name) || values.has(name)) return;
    const fields = records.get(name);
    if (fields !== undefined) {
      this.#fault(expr, `${name} is a record: read one of its fields, ${list(name, fields)}`);
      return;
    }
    const known = [...records.keys(), ...values].toSorted().join(', ');
    this.#fault(expr, `unknown variable ${name}; known: ${known}`);
  }

  #field(expr: Expr, record: Expr | undefined, field: string): void {
    const name = variableOf(record) ?? '';
    const fields = records.get(name) ?? [];
    if (!fields.includes(field)) this.#fault(expr, `${name} has no field ${field}; it has ${list(name, fields)}`);
  }

  /** True when the arguments have been dealt with. */
  #call(expr: Expr, call: Extract<Expr['exprKind'], { case: 'callExpr' }>['value'], place: Place): boolean {
    const [first, second] = call.args;
    if (call.function === '_[_]' && this.#isRecord(first, place)) {
      const field = stringOf(second);
      if (field === undefined) this.#fault(expr, `${variableOf(first)} is a record: name its field`);
      else this.#field(expr, first, field);
      return true;
    }
    const signature = `${call.target === undefined ? '' : '.'}${call.function}/${call.args.length}`;
    if (!operators.has(signature) && !signatures().has(signature)) {
      this.#fault(expr, unknownFunction(call.function, signature));
    } else if (call.function === 'matches') {
      this.#pattern(expr, call.args[0]);
    } else if (conversions.has(call.function) && first?.exprKind.case === 'constExpr') {
      const value = planExpression(expr)({});
      if (isCelError(value)) this.#fault(expr, `${call.function}(): ${value.message.slice(0, 200)}`);
    }
    return false;
  }

  #pattern(expr: Expr, argument: Expr | undefined): void {
    const pattern = stringOf(argument);
    if (pattern === undefined) {
      this.#fault(expr, 'the pattern of matches() must be a string literal');
    } else if (pattern.length > celLimits.pattern) {
      this.#fault(expr, `the pattern has ${pattern.length} characters; at most ${celLimits.pattern} are allowed`);
    } else {
      try {
        compilePattern(pattern);
      } catch (error) {
        this.#fault(expr, `bad pattern (RE2 syntax): ${String(error).slice(0, 200)}`);
      }
    }
  }

  #loop(expr: Expr, loop: Extract<Expr['exprKind'], { case: 'comprehensionExpr' }>['value'], place: Place): void {
    if (place.loops + 1 > celLimits.loops) this.#fault(expr, `loops may be nested ${celLimits.loops} deep, not deeper`);
    const taken = records.has(loop.iterVar) || values.has(loop.iterVar);
    if (taken || place.locals.has(loop.iterVar)) {
      this.#fault(expr, `the loop variable ${loop.iterVar} hides another variable; give it another name`);
    }
    const outside = { ...place, depth: place.depth + 1 };
    const locals = new Set([...place.locals, loop.iterVar, loop.accuVar]);
    const inside = { depth: place.depth + 1, loops: place.loops + 1, locals };
    for (const part of [loop.iterRange, loop.accuInit]) if (part !== undefined) this.walk(part, outside);
    for (const part of [loop.loopCondition, loop.loopStep]) if (part !== undefined) this.walk(part, inside);
    if (loop.result !== undefined) this.walk(loop.result, { ...outside, locals });
  }
}

function unknownFunction(name: string, signature: string): string {
  const [, arity] = signature.split('/');
  const others = [...signatures()].filter((known) => known.startsWith(`${name}/`) || known.startsWith(`.${name}/`));
  if (others.length === 0) return `unknown function ${name}`;
  const forms = [...new Set(others)].map((known) => {
    const method = known.startsWith('.');
    const count = Number(known.split('/')[1]);
    return `${method ? 'x.' : ''}${name}(${Array.from({ length: count }, (_, at) => 'abc'[at] ?? 'd').join(', ')})`;
  });
  return `${name} cannot be used this way with ${arity} arguments; use ${forms.join(' or ')}`;
}

function list(name: string, fields: readonly string[]): string {
  return fields.map((field) => `${name}.${field}`).join(', ');
}
