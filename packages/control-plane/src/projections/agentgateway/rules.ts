import type { McpRouteEntry, RouteEntry } from '@signalbox/config';
import { always, type Formula, value } from '../conditions/formula.ts';
import { isGated } from '../conditions/http-gate.ts';
import { orderedRules } from '../conditions/ordered-rules.ts';
import { type Topic, topics } from '../conditions/reading.ts';
import { admission, callersOf, isFrom } from './callers.ts';
import { expressionOf } from './expression.ts';
import { type AgentgatewayTopic, readField, subjectPath } from './fields.ts';
import { patternGap } from './pattern.ts';

/** What the rules of a route come to. */
export interface Enforcement {
  /** A request comes in if one of them is true. Never empty: without any, everybody would come in. */
  readonly admit: readonly string[];
  /** What a request is about is allowed, and shown in lists, if one of them is true. Never empty, either. */
  readonly allow: readonly string[];
  /** What they ask that agentgateway cannot tell, by rule; it then denies. */
  readonly gaps: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Characters of all conditions of one route. */
const maxConditions = 128 * 1024;
const nothing = ['false'];

/** What agentgateway lets in on a route of MCP, and what it allows then. */
export function enforce(route: McpRouteEntry): Enforcement {
  // An error, and so never allowed, for anything else.
  const isAbout = (topic: Topic): Formula => value('mcp', subjectPath(topic), { is: 'any-text' });
  return enforced(route, topics, isAbout);
}

/**
 * The same for a route of A2A. @param operation what all of its requests are; undefined for messages, which agentgateway
 * hands on without telling them apart
 */
export function enforceA2a(route: RouteEntry, operation: string | undefined): Enforcement {
  return enforced(route, [{ name: 'a2a', operation }], () => always);
}

/** The same for a route of HTTP or gRPC. */
export function enforceHttp(route: RouteEntry): Enforcement {
  return enforced(route, [{ name: 'http' }], () => isGated);
}

function enforced<T extends AgentgatewayTopic>(
  route: RouteEntry,
  topicsOfRoute: readonly T[],
  isAbout: (topic: T) => Formula,
): Enforcement {
  const callers = callersOf(route.authentication);
  if (callers.length === 0 || route.authorization.quarantine)
    return { admit: nothing, allow: nothing, gaps: new Map() };
  const { allow: byRule, gaps } = orderedRules(route, {
    ...{ topics: topicsOfRoute, callers, isAbout, patternGap },
    // Who has come in is one of them.
    isFrom: (some) => (some.length === callers.length ? always : isFrom(some)),
    read: (field, topic, caller) => readField(field, route, { topic, caller }),
  });
  const allow = [...byRule].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, formula]) => expressionOf(formula));
  const admit = admission(callers);
  if (allow.join().length > maxConditions) {
    const tooLarge = new Set([`conditions of more than ${maxConditions} characters on one route`]);
    return { admit, allow: nothing, gaps: new Map([...gaps, ['all rules', tooLarge]]) };
  }
  return { admit, allow: allow.length === 0 ? nothing : allow, gaps };
}
