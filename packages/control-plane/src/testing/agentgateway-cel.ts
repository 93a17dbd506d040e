import { parse } from '@bufbuild/cel';

/** Variables of an evaluation; a name with the value null is known, and empty. */
export type CelVariables = Readonly<Record<string, unknown>>;

/** A whole number, a duration or a timestamp in milliseconds; other values are as JSON has them. */
class Duration {
  readonly ms: number;

  constructor(ms: number) {
    this.ms = ms;
  }
}

export class Timestamp {
  readonly ms: number;

  constructor(ms: number) {
    this.ms = ms;
  }
}

class TypeName {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

class Fault extends Error {}

type Expr = ReturnType<typeof parse>['expr'];

/**
 * A model of how agentgateway evaluates a condition of a rule, as its documentation and source describe it: true, or
 * anything else. Not as the specification of CEL has it: `has` is true for null and false around what is no map, `in` finds
 * parts of texts and keys of maps, and comparisons of different types are false, not errors.
 */
export function evaluateAsAgentgateway(condition: string, variables: CelVariables): boolean {
  return compileAsAgentgateway(condition)(variables);
}

/** {@link evaluateAsAgentgateway} for a condition that is asked of many requests: to parse it takes longer than to ask. */
export function compileAsAgentgateway(condition: string): (variables: CelVariables) => boolean {
  const { expr } = parse(condition);
  return (variables) => {
    try {
      return evaluate(expr, variables) === true;
    } catch (error) {
      if (error instanceof Fault) return false;
      throw error;
    }
  };
}

/** Whether it can be parsed: what cannot is replaced by a condition that never holds. */
export function parsesForAgentgateway(condition: string): boolean {
  try {
    parse(condition);
    return true;
  } catch {
    return false;
  }
}

function evaluate(expr: Expr, variables: CelVariables): unknown {
  const { exprKind: node } = expr;
  switch (node.case) {
    case 'identExpr':
      return variable(node.value.name, variables);
    case 'constExpr': {
      const { constantKind: constant } = node.value;
      return constant.case === 'nullValue' ? null : constant.value;
    }
    case 'listExpr':
      return node.value.elements.map((element) => evaluate(element, variables));
    case 'selectExpr': {
      const around = evaluate(present(node.value.operand), variables);
      const isThere = isMap(around) && Object.hasOwn(around, node.value.field);
      if (node.value.testOnly) return isThere;
      if (!isThere) throw new Fault(`no ${node.value.field}`);
      return around[node.value.field];
    }
    case 'callExpr': {
      const { function: name, target, args } = node.value;
      return call(name, target ? [target, ...args] : args, variables);
    }
    case 'comprehensionExpr':
    case 'structExpr':
    case undefined:
      throw new Error(`the model does not know ${String(node.case)}`);
  }
}

const types = ['bool', 'double', 'int', 'list', 'map', 'null_type', 'string', 'timestamp', 'uint'];

function variable(name: string, variables: CelVariables): unknown {
  if (Object.hasOwn(variables, name)) return variables[name];
  if (types.includes(name)) return new TypeName(name);
  throw new Fault(`undeclared ${name}`);
}

function call(name: string, args: readonly Expr[], variables: CelVariables): unknown {
  if (name === '_&&_' || name === '_||_') return logical(name === '_||_', args, variables);
  if (name === '_?_:_') return choice(args, variables);
  const [first, second] = args.map((arg) => evaluate(arg, variables));
  switch (name) {
    case '!_':
      if (typeof first !== 'boolean') throw new Fault('no overload');
      return !first;
    case '_==_':
      return equal(first, second);
    case '_!=_':
      return !equal(first, second);
    case '@in':
      return isIn(first, second);
    case '_[_]':
      if (!isMap(first) || typeof second !== 'string' || !Object.hasOwn(first, second)) throw new Fault('no such key');
      return first[second];
    case 'type':
      return new TypeName(typeOf(first));
    case 'size':
      return BigInt(Array.isArray(first) ? first.length : Buffer.byteLength(text(first)));
    case 'timestamp':
      if (typeof first === 'string') return new Timestamp(Date.parse(first));
      if (typeOf(first) !== 'int') throw new Fault('no timestamp');
      return new Timestamp(Number(first) * 1_000);
    case 'duration':
      return new Duration(Number.parseInt(text(first), 10) * (text(first).endsWith('h') ? 3_600_000 : 1_000));
    case '_-_':
      if (!(first instanceof Timestamp) || !(second instanceof Timestamp)) throw new Fault('no overload');
      return new Duration(first.ms - second.ms);
    case 'startsWith':
      return text(first).startsWith(text(second));
    case 'endsWith':
      return text(first).endsWith(text(second));
    case 'contains':
      return text(first).includes(text(second));
    case 'matches':
      return enginePattern(text(second)).test(text(first));
    case '_<_':
      return compared(first, second) < 0;
    case '_<=_':
      return compared(first, second) <= 0;
    case '_>_':
      return compared(first, second) > 0;
    case '_>=_':
      return compared(first, second) >= 0;
    default:
      throw new Error(`the model does not know the function ${name}`);
  }
}

function choice(args: readonly Expr[], variables: CelVariables): unknown {
  const test = evaluate(present(args[0]), variables);
  if (typeof test !== 'boolean') throw new Fault('no overload');
  return evaluate(present(args[test ? 1 : 2]), variables);
}

/** The left side first; a fault there counts for nothing if the right side decides. One on the right side is one. */
function logical(decisive: boolean, args: readonly Expr[], variables: CelVariables): unknown {
  const [left, right] = [present(args[0]), present(args[1])];
  let first: unknown;
  try {
    first = evaluate(left, variables);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
  }
  if (first === decisive) return decisive;
  const second = evaluate(right, variables);
  if (first === !decisive && typeof second === 'boolean') return second;
  if (second === decisive) return decisive;
  throw new Fault('no overload');
}

function equal(left: unknown, right: unknown): boolean {
  if (isNumber(left) && isNumber(right)) return Number(left) === Number(right);
  if (left instanceof TypeName && right instanceof TypeName) return left.name === right.name;
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length && left.every((one, at) => equal(one, right[at]));
  }
  return left === right;
}

function compared(left: unknown, right: unknown): number {
  if (isNumber(left) && isNumber(right)) return Number(left) - Number(right);
  if (left instanceof Duration && right instanceof Duration) return left.ms - right.ms;
  if (typeof left === 'string' && typeof right === 'string')
    return Buffer.compare(Buffer.from(left), Buffer.from(right));
  if (typeof left === 'boolean' && typeof right === 'boolean') return Number(left) - Number(right);
  throw new Fault('not comparable');
}

function isIn(item: unknown, holder: unknown): boolean {
  if (Array.isArray(holder)) return holder.some((one) => equal(item, one));
  if (isMap(holder)) return typeof item === 'string' && Object.hasOwn(holder, item);
  if (typeof holder === 'string' && typeof item === 'string') return holder.includes(item);
  throw new Fault('not comparable');
}

function typeOf(value: unknown): string {
  if (value === null) return 'null_type';
  if (Array.isArray(value)) return 'list';
  if (value instanceof Timestamp) return 'timestamp';
  if (typeof value === 'number') return Number.isSafeInteger(value) ? 'int' : 'double';
  const names: Readonly<Record<string, string>> = { boolean: 'bool', string: 'string', bigint: 'int' };
  return names[typeof value] ?? 'map';
}

/** A pattern of its engine, which knows classes of Unicode unless told otherwise; `.` is everything but a line feed. */
function enginePattern(pattern: string): RegExp {
  const inner = pattern
    .replaceAll('(?-u:', '(?:')
    .replaceAll('(?i-u:', '(?i:')
    .replaceAll(/\\.|\./g, (part) => (part === '.' ? '[^\\n]' : part));
  return new RegExp(inner, 'u');
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new Fault('no text');
  return value;
}

function isNumber(value: unknown): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint';
}

function isMap(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof TypeName) &&
    !(value instanceof Timestamp) &&
    !(value instanceof Duration)
  );
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('an expression lacks a part');
  return value;
}
