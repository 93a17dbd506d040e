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
  /** What everything is answered with, whatever the rules say; undefined: the rules decide. */
  readonly quarantine: Decision | undefined;
  /** Some rule reads the arguments of a call: only then are they parsed. */
  readonly readsArgs: boolean;
  /** Some rule reads `now` or `session`: what a caller sees of a list may change from one request to the next. */
  readonly readsMoment: boolean;
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
export type Subject = McpSubject | HttpSubject | A2aSubject;

/** What a request of an MCP route is about. */
export type McpSubject =
  | {
      readonly kind: 'tool';
      readonly name: string;
      /** Absent while listing: rules that read arguments are then read as described at `decide`. */
      readonly args?: ReadonlyMap<string, unknown>;
    }
  | { readonly kind: 'prompt'; readonly name: string }
  | { readonly kind: 'resource'; readonly uri: string };

/** A request of an HTTP or gRPC route. */
export interface HttpSubject {
  readonly kind: 'http';
  readonly method: string;
  /** As received, without query. */
  readonly path: string;
  /** By lower-case name, repeated fields joined by a comma; without those that carry credentials. */
  readonly headers: ReadonlyMap<string, string>;
}

/** A request of an A2A route. */
export interface A2aSubject {
  readonly kind: 'a2a';
  /** Name of the operation in A2A 1.0, such as `SendMessage`, also for requests of older versions. */
  readonly method: string;
  /** `1.0` or `0.3`. */
  readonly version: string;
}

/** Everything that rules can see. Values come from the body and the verified credential, never from a bare header. */
export interface DecisionInput {
  readonly principal: Principal;
  readonly tenant: string;
  readonly backend: string;
  readonly subject: Subject;
  /** Null for requests that are not of MCP. */
  readonly mcp: { readonly method: string; readonly era: 'legacy' | 'modern'; readonly version: string } | null;
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
