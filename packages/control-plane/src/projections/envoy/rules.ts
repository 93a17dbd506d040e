import type { RouteEntry, RuleField } from '@signalbox/config';
import { all, any, type Formula, never, not, value } from '../conditions/formula.ts';
import { isGated } from '../conditions/http-gate.ts';
import { type OrderedRules, orderedRules } from '../conditions/ordered-rules.ts';
import type { Caller } from '../conditions/reading.ts';
import { isCarriedRequest } from './a2a.ts';
import { callersOf, isFrom } from './callers.ts';
import { type EnvoyTopic, protocolMethods, readField, topicsOf } from './fields.ts';
import { isFederated, isOfMembers } from './members.ts';
import { patternGap } from './pattern.ts';

/** What the rules of a route come to. */
export interface Enforcement {
  /** By name, sorted: a request is allowed if one of them holds. */
  readonly allow: ReadonlyMap<string, Formula>;
  /** Paths in a tools/call that they read, sorted. */
  readonly paths: readonly string[];
  /** They match what is in a message against patterns. */
  readonly matchesMessages: boolean;
  /** What they ask that Envoy cannot tell, by rule; it then denies. */
  readonly gaps: ReadonlyMap<string, ReadonlySet<string>>;
}

/** What Envoy allows on a route: what the rules do, the protocol itself, and the streams of sessions. */
export function enforce(route: RouteEntry): Enforcement {
  const callers = callersOf(route.authentication);
  if (callers.length === 0 || route.authorization.quarantine)
    return { allow: new Map(), paths: [], matchesMessages: false, gaps: new Map() };
  const { allow: byRule, gaps } = rulesOfMembers(route) ?? rulesOf(route, isAbout);
  const isEmpty = byRule.size === 0 && gaps.has('all rules');
  const common: readonly (readonly [string, Formula])[] =
    isEmpty || route.kind !== 'mcp'
      ? []
      : [
          ['protocol', all([isFrom(callers), anyMethod(route)])],
          ['streams', all([isFrom(callers), anyStream()])],
        ];
  const allow = new Map([...common, ...byRule].sort(([a], [b]) => (a < b ? -1 : 1)));
  const paths = [...new Set([...allow.values()].flatMap(argumentPaths))].sort();
  return { allow, paths, matchesMessages: [...allow.values()].some(matchesMessages), gaps };
}

function matchesMessages(formula: Formula): boolean {
  if ('terms' in formula) return formula.terms.some(matchesMessages);
  if (formula.kind === 'not') return matchesMessages(formula.term);
  return formula.kind === 'value' && formula.filter === 'mcp' && formula.match.is === 'search';
}

function rulesOf(route: RouteEntry, about: (topic: EnvoyTopic) => Formula): OrderedRules {
  const callers = callersOf(route.authentication);
  return orderedRules(route, {
    ...{ topics: topicsOf(route), callers, isFrom, isAbout: about, patternGap },
    read: (field: RuleField, topic: EnvoyTopic, caller: Caller) => readField(field, route, topic, caller),
  });
}

/**
 * The rules of a route to several members, for each by itself if they read which backend it is. Rules of policies on
 * backends come after those of the route: without them a call is denied, which has been reported for those that allow.
 */
function rulesOfMembers(route: RouteEntry): OrderedRules | undefined {
  const federation = route.kind === 'mcp' ? route.mcp.federation : null;
  if (route.kind !== 'mcp' || federation === null) return undefined;
  const members = federation.members.filter(({ authorization }) => authorization.quarantine === undefined);
  const readsBackend = route.authorization.rules.some(({ when }) => /\bbackend\b/.test(when));
  const groups = readsBackend ? members.map((member) => [member]) : [members].filter(({ length }) => length > 0);
  const allow = new Map<string, Formula>();
  const gaps = new Map<string, ReadonlySet<string>>();
  for (const group of groups) {
    const [member = route.mcp.member] = group;
    const asMember: RouteEntry = { ...route, mcp: { ...route.mcp, member } };
    const found = rulesOf(asMember, (topic) => all([isAbout(topic), isOfMembers(federation, group, topic)]));
    const suffix = readsBackend ? ` ${member.backend.name}` : '';
    for (const [name, formula] of found.allow)
      allow.set(name + suffix, any([allow.get(name + suffix) ?? never, formula]));
    for (const [rule, features] of found.gaps) gaps.set(rule, new Set([...(gaps.get(rule) ?? []), ...features]));
  }
  return { allow, gaps };
}

/** Paths of arguments in a condition. */
function argumentPaths(formula: Formula): readonly string[] {
  if ('terms' in formula) return formula.terms.flatMap(argumentPaths);
  if (formula.kind === 'not') return argumentPaths(formula.term);
  const isArgument = formula.kind === 'value' && formula.filter === 'mcp' && formula.path[1] === 'arguments';
  return isArgument ? [formula.path.join('.')] : [];
}

function isAbout(topic: EnvoyTopic): Formula {
  if (topic.name === 'http') return isGated;
  if (topic.name === 'a2a' || !('methods' in topic)) return isCarriedRequest;
  const { methods, subject } = topic;
  return all([
    any(methods.map((text) => value('mcp', ['method'], { is: 'exact', text }))),
    value('mcp', ['params', subject], { is: 'any-text' }),
  ]);
}

/** At several members completion is a matter of policy, too, which Envoy does not see. */
function anyMethod(route: RouteEntry): Formula {
  const methods = isFederated(route) ? protocolMethods.filter((name) => name !== completion) : protocolMethods;
  return any([
    value('mcp', ['method'], { is: 'prefix', text: 'notifications/' }),
    ...methods.map((text) => value('mcp', ['method'], { is: 'exact', text })),
  ]);
}

/** The GET stream of the legacy era and the end of its session: neither has a message. */
function anyStream(): Formula {
  return all([
    any(['DELETE', 'GET'].map((text) => ({ kind: 'header', name: ':method', match: { is: 'exact', text } }))),
    not(value('mcp', ['method'], { is: 'present' })),
  ]);
}

const completion = 'completion/complete';
