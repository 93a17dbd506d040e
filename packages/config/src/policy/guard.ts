import type { Expr } from './cel.ts';
import { conjuncts, stringOf, variableOf } from './syntax-tree.ts';

/**
 * What the name of the subject must be for an expression to be true, read off the first term of a chain of `&&`:
 * `tool.name == "x"`, `tool.name in ["x", "y"]`, `tool.name.startsWith("x")`, and the same for `prompt.name`,
 * `resource.uri`, `http.path` and `a2a.method`. When it does not hold the expression is false, whatever the other terms give, errors included.
 */
export type Guard = { readonly names: readonly string[] } | { readonly prefix: string };

/** The guard of an expression, and whether it is all of it. */
export function guardOf(expr: Expr): { readonly guard: Guard; readonly whole: boolean } | undefined {
  const [first, ...rest] = conjuncts(expr);
  const guard = first === undefined ? undefined : readGuard(first);
  return guard === undefined ? undefined : { guard, whole: rest.length === 0 };
}

/** Whether the guard holds for the name of a subject. */
export function guardHolds(guard: Guard, name: string): boolean {
  return 'prefix' in guard ? name.startsWith(guard.prefix) : guard.names.includes(name);
}

function readGuard(expr: Expr): Guard | undefined {
  if (expr.exprKind.case !== 'callExpr') return undefined;
  const { function: name, target, args } = expr.exprKind.value;
  const [first, second] = args;
  switch (name) {
    case '_==_':
      return namesGuard(isSubjectName(first) ? second : isSubjectName(second) ? first : undefined);
    case '@in':
      return isSubjectName(first) ? listGuard(second) : undefined;
    case 'startsWith': {
      const prefix = stringOf(first);
      return isSubjectName(target) && prefix !== undefined ? { prefix } : undefined;
    }
    default:
      return undefined;
  }
}

function namesGuard(literal: Expr | undefined): Guard | undefined {
  const name = stringOf(literal);
  return name === undefined ? undefined : { names: [name] };
}

function listGuard(list: Expr | undefined): Guard | undefined {
  if (list?.exprKind.case !== 'listExpr') return undefined;
  const names = list.exprKind.value.elements.map(stringOf);
  return names.every((name) => name !== undefined) ? { names } : undefined;
}

const subjectNames: ReadonlyMap<string, string> = new Map([
  ['tool', 'name'],
  ['prompt', 'name'],
  ['resource', 'uri'],
  ['http', 'path'],
  ['a2a', 'method'],
]);

function isSubjectName(expr: Expr | undefined): boolean {
  if (expr?.exprKind.case !== 'selectExpr' || expr.exprKind.value.testOnly) return false;
  const { operand, field } = expr.exprKind.value;
  const variable = variableOf(operand);
  return variable !== undefined && subjectNames.get(variable) === field;
}
