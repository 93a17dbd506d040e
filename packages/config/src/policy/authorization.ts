import type { Principal } from './authentication.ts';
import type { Expression } from './expression.ts';
import type { RuleIndex } from './rule-index.ts';

/**
 * The authorization rules of a route, in the order in which they are read. Made by compiling a tenant, or by
 * `compileAuthorization`.
 */
export interface AuthorizationTable {
  readonly digest: string;
  readonly rules: readonly CompiledRule[];
  /** Some rule reads the arguments of a call: only then are they parsed. */
  readonly readsArgs: boolean;
  /** Finds the rules that may match a subject, without looking at all. */
  readonly index: RuleIndex;
}

export interface CompiledRule {
  /** `policy/<policy name>/<rule name or 0-based position>`. */
  readonly id: string;
  readonly effect: 'allow' | 'deny';
  /** Source text of the expression. */
  readonly when: string;
  readonly expression: Expression;
  /** The decision when this rule matches. */
  readonly decision: Decision;
}

/** What a request wants to do, as parsed from its body. */
export type Subject =
  | {
      readonly kind: 'tool';
      readonly name: string;
      /** Absent while listing: rules that read arguments are then read as described at `decide`. */
      readonly args?: ReadonlyMap<string, unknown>;
    }
  | { readonly kind: 'prompt'; readonly name: string }
  | { readonly kind: 'resource'; readonly uri: string };

/** Everything that rules can see. Values come from the body and the verified credential, never from a bare header. */
export interface DecisionInput {
  readonly principal: Principal;
  readonly tenant: string;
  readonly backend: string;
  readonly subject: Subject;
  readonly mcp: { readonly method: string; readonly era: 'legacy' | 'modern'; readonly version: string };
  readonly request: { readonly host: string; readonly path: string };
  /** Empty when there is no session. */
  readonly session: string;
  /** Milliseconds since the epoch; an input, so that evaluation stays pure. */
  readonly nowMs: number;
}

export interface Decision {
  readonly allowed: boolean;
  /** Id of the rule that decided; empty when none matched. */
  readonly rule: string;
  /** For people: `matched`, `no rule matched`, or why an expression could not be evaluated. */
  readonly reason: string;
}
