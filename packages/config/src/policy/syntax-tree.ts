import type { Expr } from './cel.ts';

/** The nodes directly within a node. */
export function children(expr: Expr): Expr[] {
  const { exprKind: node } = expr;
  switch (node.case) {
    case 'selectExpr':
      return present([node.value.operand]);
    case 'callExpr':
      return present([node.value.target, ...node.value.args]);
    case 'listExpr':
      return node.value.elements;
    case 'structExpr':
      return node.value.entries.flatMap((entry) =>
        present([entry.keyKind.case === 'mapKey' ? entry.keyKind.value : undefined, entry.value]),
      );
    case 'comprehensionExpr': {
      const { iterRange, accuInit, loopCondition, loopStep, result } = node.value;
      return present([iterRange, accuInit, loopCondition, loopStep, result]);
    }
    case 'identExpr':
    case 'constExpr':
    case undefined:
      return [];
  }
}

/** Name of the variable, if the node is one. */
export function variableOf(expr: Expr | undefined): string | undefined {
  return expr?.exprKind.case === 'identExpr' ? expr.exprKind.value.name : undefined;
}

/** The text, if the node is a string literal. */
export function stringOf(expr: Expr | undefined): string | undefined {
  if (expr?.exprKind.case !== 'constExpr') return undefined;
  const { constantKind: constant } = expr.exprKind.value;
  return constant.case === 'stringValue' ? constant.value : undefined;
}

/** The truth value, if the node is a boolean literal. */
export function booleanOf(expr: Expr): boolean | undefined {
  if (expr.exprKind.case !== 'constExpr') return undefined;
  const { constantKind: constant } = expr.exprKind.value;
  return constant.case === 'boolValue' ? constant.value : undefined;
}

/** Whether the node, or one within it, is the variable. Loop variables never have the name of another variable. */
export function reads(expr: Expr, variable: string): boolean {
  return variableOf(expr) === variable || children(expr).some((child) => reads(child, variable));
}

/** The terms of a chain of `&&`, from left to right; the node itself if it is no such chain. */
export function conjuncts(expr: Expr): Expr[] {
  if (expr.exprKind.case !== 'callExpr' || expr.exprKind.value.function !== '_&&_') return [expr];
  return expr.exprKind.value.args.flatMap(conjuncts);
}

/** The terms joined by `&&`; undefined for none. The inverse of {@link conjuncts}. */
export function conjunction(terms: readonly Expr[]): Expr | undefined {
  const [first, ...rest] = terms;
  return first === undefined || rest.length === 0 ? first : callOf(first, '_&&_', terms);
}

/** A call of a function, at the place of another node. */
export function callOf(at: Expr, name: string, args: readonly Expr[]): Expr {
  const value = { $typeName: 'cel.expr.Expr.Call' as const, function: name, args: [...args] };
  return { ...at, exprKind: { case: 'callExpr', value } };
}

function present(nodes: readonly (Expr | undefined)[]): Expr[] {
  return nodes.filter((node) => node !== undefined);
}
