import type { RouteEntry, RuleField } from '@signalbox/config';
import { all, any, type Formula, not, value } from '../conditions/formula.ts';
import { orderedRules } from '../conditions/ordered-rules.ts';
import type { Caller } from '../conditions/reading.ts';
import { isCarriedRequest } from './a2a.ts';
import { callersOf, isFrom } from './callers.ts';
import { type EnvoyTopic, protocolMethods, readField, topicsOf } from './fields.ts';
import { patternGap } from './pattern.ts';

/** What the rules of a route come to. */
export interface Enforcement {
  /** By name, sorted: a request is allowed if one of them holds. */
  readonly allow: ReadonlyMap<string, Formula>;
  /** Paths in a tools/call that they read, sorted. */
  readonly paths: readonly string[];
  /** What they ask that Envoy cannot tell, by rule; it then denies. */
  readonly gaps: ReadonlyMap<string, ReadonlySet<string>>;
}

/** What Envoy allows on a route: what the rules do, the protocol itself, and the streams of sessions. */
export function enforce(route: RouteEntry): Enforcement {
  const callers = callersOf(route.authentication);
  if (callers.length === 0) return { allow: new Map(), paths: [], gaps: new Map() };
  const { allow: byRule, gaps } = orderedRules(route, {
    ...{ topics: topicsOf(route), callers, isFrom, isAbout, patternGap },
    read: (field: RuleField, topic: EnvoyTopic, caller: Caller) => readField(field, route, topic, caller),
  });
  const isEmpty = byRule.size === 0 && gaps.has('all rules');
  const common: readonly (readonly [string, Formula])[] =
    isEmpty || route.kind !== 'mcp'
      ? []
      : [
          ['protocol', all([isFrom(callers), anyMethod()])],
          ['streams', all([isFrom(callers), anyStream()])],
        ];
  const allow = new Map([...common, ...byRule].sort(([a], [b]) => (a < b ? -1 : 1)));
  const paths = [...new Set([...allow.values()].flatMap(argumentPaths))].sort();
  return { allow, paths, gaps };
}

/** Paths of arguments in a condition. */
function argumentPaths(formula: Formula): readonly string[] {
  if ('terms' in formula) return formula.terms.flatMap(argumentPaths);
  if (formula.kind === 'not') return argumentPaths(formula.term);
  const isArgument = formula.kind === 'value' && formula.filter === 'mcp' && formula.path[1] === 'arguments';
  return isArgument ? [formula.path.join('.')] : [];
}

function isAbout(topic: EnvoyTopic): Formula {
  if (topic.name === 'http') return all([servedMethod, not(oddPath)]);
  if (topic.name === 'a2a' || !('methods' in topic)) return isCarriedRequest;
  const { methods, subject } = topic;
  return all([
    any(methods.map((text) => value('mcp', ['method'], { is: 'exact', text }))),
    value('mcp', ['params', subject], { is: 'any-text' }),
  ]);
}

/** What the gate of our own proxy lets pass. */
const servedMethod: Formula = {
  kind: 'header',
  name: ':method',
  match: { is: 'regex', text: 'GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS' },
};

/**
 * A path that our own proxy refuses because another one could mean the same: an empty or a dot segment, an escape that is
 * needless, malformed or hides a separator, a character that has to be escaped.
 */
const oddPath: Formula = {
  kind: 'path',
  match: {
    is: 'regex',
    text: [
      '(?s:.*)(?:',
      ...['//|/\\.\\.?(?:/|$)|', '%(?:[^0-9A-F]|[0-9A-F][^0-9A-F]|[0-9A-F]?$)|'],
      '%(?:00|2[DEF]|3[0-9]|4[1-9A-F]|5[0-9ACF]|6[1-9A-F]|7[0-9AE])|',
      "[^!$%&'()*+,./0-9:;=@A-Z\\[\\]_a-z~-]",
      ')(?s:.*)',
    ].join(''),
  },
};

function anyMethod(): Formula {
  return any([
    value('mcp', ['method'], { is: 'prefix', text: 'notifications/' }),
    ...protocolMethods.map((text) => value('mcp', ['method'], { is: 'exact', text })),
  ]);
}

/** The GET stream of the legacy era and the end of its session: neither has a message. */
function anyStream(): Formula {
  return all([
    any(['DELETE', 'GET'].map((text) => ({ kind: 'header', name: ':method', match: { is: 'exact', text } }))),
    not(value('mcp', ['method'], { is: 'present' })),
  ]);
}
