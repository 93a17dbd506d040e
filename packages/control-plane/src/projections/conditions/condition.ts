import type { RuleCondition, RuleField, RuleLiteral, TextTest } from '@signalbox/config';
import type { Reading } from './reading.ts';
import {
  all,
  always,
  any,
  type Formula,
  type Match,
  never,
  not,
  type Option,
  same,
  type TextMatch,
  value,
} from './formula.ts';

/**
 * When an expression is true and when it is false, as far as a data plane can tell. Each is a condition that holds only if the
 * expression is that: where it knows less than a rule asks, neither holds, as for an expression that errs, and the
 * call is denied. What got lost that way is in the gaps.
 */
export interface Verdict {
  readonly yes: Formula;
  readonly no: Formula;
  readonly yesGaps: readonly string[];
  readonly noGaps: readonly string[];
  /** It cannot be an error: one of `yes` and `no` holds for every request. */
  readonly total: boolean;
}

/** Fields that may be missing, in one expression: each multiplies the cases that are written out. */
const maxOpenFields = 4;

/**
 * The verdict on an expression.
 * @param read what a field is to the data plane
 * @param patternGap what of a pattern it cannot match
 */
export function judge(
  condition: RuleCondition,
  read: (field: RuleField) => Reading,
  patternGap: (pattern: string) => string | undefined,
): Verdict {
  const fields = openFields(condition, read);
  if (fields.length > maxOpenFields) return gap(`a rule that reads more than ${maxOpenFields} arguments and claims`);
  return split(condition, { read, patternGap, sights: new Map() }, fields);
}

type OpenField = Extract<Reading, { kind: 'open' }>;

/** Envoy sees the value; or it does not, because it is missing, a list, or what is around it is no object. */
type Sight = 'seen' | 'missing' | 'list' | 'orphan';

/**
 * Envoy does not show lists of a message, and cannot tell them from what is missing; nor a missing field from one whose
 * parent is no object. So what shall hold without a value must hold in all of these cases.
 */
function split(condition: RuleCondition, context: Context, fields: readonly OpenField[]): Verdict {
  const [field, ...others] = fields;
  if (field === undefined) return evaluate(condition, context);
  const as = (sight: Sight) => {
    const sights = new Map([...context.sights, [keyOf(field), sight] as const]);
    return split(condition, { ...context, sights }, others);
  };
  const seen = as('seen');
  const missing = as('missing');
  const hidden = [
    ...(field.filter === 'mcp' ? [as('list')] : []),
    ...(field.path.length > (field.filter === 'mcp' ? 3 : 2) ? [as('orphan')] : []),
  ];
  const present = value(field.filter, field.path, { is: 'present' });
  const cannotTell = `a missing ${field.path.at(-1)}, which looks like a list or like one without parent to it`;
  const side = (of: 'yes' | 'no'): readonly [Formula, readonly string[]] => {
    const unseen = all([missing[of], ...hidden.map((verdict) => verdict[of])]);
    const gaps = [seen, missing, ...hidden].flatMap((verdict) => verdict[`${of}Gaps`]);
    return [
      any([all([present, seen[of]]), all([not(present), unseen])]),
      same(unseen, missing[of]) ? gaps : [...gaps, cannotTell],
    ];
  };
  const [yes, yesGaps] = side('yes');
  const [no, noGaps] = side('no');
  return { yes, no, yesGaps, noGaps, total: false };
}

interface Context {
  readonly read: (field: RuleField) => Reading;
  readonly patternGap: (pattern: string) => string | undefined;
  readonly sights: ReadonlyMap<string, Sight>;
}

function evaluate(condition: RuleCondition, context: Context): Verdict {
  switch (condition.kind) {
    case 'constant':
      return condition.value ? truth : falsehood;
    case 'all':
      return conjunction(condition.terms.map((term) => evaluate(term, context)));
    case 'any':
      return negated(conjunction(condition.terms.map((term) => negated(evaluate(term, context)))));
    case 'not':
      return negated(evaluate(condition.term, context));
    case 'choice':
      return choice(
        evaluate(condition.test, context),
        evaluate(condition.then, context),
        evaluate(condition.else, context),
      );
    case 'other':
      return gap(condition.feature);
    case 'has':
    case 'equals':
    case 'holds':
    case 'text':
    case 'order':
    case 'flag':
      return leaf(condition, context);
  }
}

type Leaf = Extract<RuleCondition, { field: RuleField }>;

function leaf(condition: Leaf, context: Context): Verdict {
  const reading = context.read(condition.field);
  switch (reading.kind) {
    case 'unknown':
      return gap(reading.feature);
    case 'absent':
      return condition.kind === 'has' ? falsehood : error;
    case 'unreachable':
      return error;
    case 'constant':
      return ofConstant(condition, reading.value);
    case 'text':
      return ofText(condition, context, (match) => value(reading.filter, reading.path, match));
    case 'host':
      return ofHost(condition, context);
    case 'method':
      return ofText(condition, context, (match) => ({ kind: 'header', name: ':method', match }));
    case 'path':
      return ofText(condition, context, (match) => ({ kind: 'path', match }));
    case 'one-of':
      return ofOneOf(condition, reading.options);
    case 'header':
      return ofHeader(condition, context, reading.name);
    case 'headers':
      return ofHeaders(condition, reading.read);
    case 'groups':
      return ofGroups(condition, reading.path);
    case 'open':
      return ofOpen(condition, context, reading);
  }
}

function ofConstant(condition: Leaf, known: string): Verdict {
  switch (condition.kind) {
    case 'has':
      return truth;
    case 'equals':
      return condition.value === known ? truth : falsehood;
    case 'text': {
      const { test, text } = condition;
      if (test === 'matches') return gap('matches() on what is the same for all requests of a route');
      const holds = {
        startsWith: known.startsWith(text),
        endsWith: known.endsWith(text),
        contains: known.includes(text),
      };
      return holds[test] ? truth : falsehood;
    }
    case 'holds':
    case 'order':
    case 'flag':
      return error;
  }
}

function ofText(condition: Leaf, context: Context, at: (match: TextMatch) => Formula): Verdict {
  switch (condition.kind) {
    case 'has':
      return truth;
    case 'equals':
      return typeof condition.value === 'string' ? total(at({ is: 'exact', text: condition.value })) : falsehood;
    case 'text': {
      const match = textMatch(condition, context);
      if (match === anyText) return truth;
      return typeof match === 'string' ? gap(match) : total(at(match));
    }
    case 'holds':
    case 'order':
    case 'flag':
      return error;
  }
}

/** Rules see the host in lower case. */
function ofHost(condition: Leaf, context: Context): Verdict {
  if (condition.kind === 'text' && condition.test === 'matches') return gap('matches() on request.host');
  const text = condition.kind === 'text' ? condition.text : condition.kind === 'equals' ? condition.value : '';
  if (typeof text === 'string' && text !== text.toLowerCase()) return falsehood;
  return ofText(condition, context, (match) => ({
    ...{ kind: 'header', name: ':authority' },
    match: { ...match, ignoreCase: true },
  }));
}

/** Each option by itself is known when the configuration is made. */
function ofOneOf(condition: Leaf, options: readonly Option[]): Verdict {
  const verdicts = options.map(({ text, when }) => ({ when, verdict: ofConstant(condition, text) }));
  const where = (side: 'yes' | 'no'): Formula => any(verdicts.map(({ when, verdict }) => all([when, verdict[side]])));
  const [first] = verdicts;
  const gaps = first?.verdict.yesGaps ?? [];
  return { yes: where('yes'), no: where('no'), yesGaps: gaps, noGaps: gaps, total: gaps.length === 0 };
}

/** A header field is a text, or not there. */
function ofHeader(condition: Leaf, context: Context, name: string): Verdict {
  const present: Formula = { kind: 'header', name, match: 'present' };
  const at = (match: TextMatch): Formula => ({ kind: 'header', name, match });
  switch (condition.kind) {
    case 'has':
      return total(present);
    case 'equals':
      if (typeof condition.value !== 'string') return partial(never, present);
      return ofPresent(present, at({ is: 'exact', text: condition.value }));
    case 'text': {
      const match = textMatch(condition, context);
      if (match === anyText) return partial(present, never);
      return typeof match === 'string' ? gap(match) : ofPresent(present, at(match));
    }
    case 'holds':
    case 'order':
    case 'flag':
      return error;
  }
}

function ofPresent(present: Formula, yes: Formula): Verdict {
  return partial(yes, all([present, not(yes)]));
}

/** Whether there is a field of a name. */
function ofHeaders(condition: Leaf, read: (name: string) => Reading): Verdict {
  if (condition.kind === 'has') return truth;
  if (condition.kind !== 'holds') return gap('http.headers but for its fields');
  if (typeof condition.value !== 'string') return falsehood;
  const reading = read(condition.value);
  if (reading.kind === 'unknown') return gap(reading.feature);
  return reading.kind === 'header' ? total({ kind: 'header', name: reading.name, match: 'present' }) : falsehood;
}

function ofGroups(condition: Leaf, path: readonly string[] | undefined): Verdict {
  if (condition.kind !== 'holds') return gap('principal.groups but for `"name" in principal.groups`');
  if (path === undefined || typeof condition.value !== 'string') return falsehood;
  const { value: text } = condition;
  return total(any([value('jwt', path, { is: 'exact', text }), value('jwt', path, { is: 'list-with', text })]));
}

function ofOpen(condition: Leaf, context: Context, field: OpenField): Verdict {
  const { filter, path } = field;
  switch (context.sights.get(keyOf(field)) ?? 'orphan') {
    case 'orphan':
      return error;
    case 'missing':
      return condition.kind === 'has' ? falsehood : condition.kind === 'holds' ? holdsGap(filter) : error;
    case 'list':
      if (condition.kind === 'holds') return holdsGap(filter);
      return condition.kind === 'has' ? truth : condition.kind === 'equals' ? falsehood : error;
    case 'seen':
      return ofSeen(condition, context, { filter, at: (match) => value(filter, path, match) });
  }
}

interface Place {
  readonly filter: OpenField['filter'];
  readonly at: (match: Match) => Formula;
}

function ofSeen(condition: Leaf, context: Context, { filter, at }: Place): Verdict {
  switch (condition.kind) {
    case 'has':
      return total(not(at({ is: 'null' })));
    case 'equals': {
      const match = literalMatch(condition.value);
      return match ? total(at(match)) : gap('whole numbers beyond 2^53');
    }
    case 'text': {
      const match = textMatch(condition, context);
      const isText = at({ is: 'any-text' });
      if (match === anyText) return partial(isText, never);
      return typeof match === 'string' ? gap(match) : partial(at(match), all([isText, not(at(match))]));
    }
    case 'order': {
      const range = rangeOf(condition.test, condition.value);
      if (!range) return gap('whole numbers beyond 2^53');
      return partial(at(range), all([at({ is: 'any-number' }), not(at(range))]));
    }
    case 'flag':
      return partial(at({ is: 'flag', value: true }), at({ is: 'flag', value: false }));
    case 'holds': {
      if (filter === 'mcp') return holdsGap(filter);
      if (typeof condition.value !== 'string') return gap('`in` a list of what are no texts');
      const member = at({ is: 'list-with', text: condition.value });
      return partial(member, all([at({ is: 'list' }), not(member)]));
    }
  }
}

/** What Envoy cannot look into at all; claims that are missing are an ordinary error. */
function holdsGap(filter: OpenField['filter']): Verdict {
  return filter === 'mcp' ? gap('lists in arguments') : error;
}

/** `any` for a test that every text passes; a feature for what the data plane cannot match. */
function textMatch({ test, text }: { readonly test: TextTest; readonly text: string }, { patternGap }: Context) {
  if (test === 'matches') return patternGap(text) ?? ({ is: 'search', text } satisfies TextMatch);
  const kinds = { startsWith: 'prefix', endsWith: 'suffix', contains: 'contains' } as const;
  return text === '' ? anyText : ({ is: kinds[test], text } satisfies TextMatch);
}

const anyText = Symbol('every text');

function literalMatch(literal: RuleLiteral): Match | undefined {
  if (literal === null) return { is: 'null' };
  if (typeof literal === 'string') return { is: 'exact', text: literal };
  if (typeof literal === 'boolean') return { is: 'flag', value: literal };
  const number = exactNumber(literal);
  return number === undefined ? undefined : { is: 'number', value: number };
}

function rangeOf(test: '<' | '<=' | '>' | '>=', literal: bigint | number): Match | undefined {
  const bound = exactNumber(literal);
  if (bound === undefined) return undefined;
  const after = nextUp(bound);
  switch (test) {
    case '<':
      return { is: 'range', start: Number.NEGATIVE_INFINITY, end: bound };
    case '<=':
      return { is: 'range', start: Number.NEGATIVE_INFINITY, end: after };
    case '>':
      return { is: 'range', start: after, end: Number.POSITIVE_INFINITY };
    case '>=':
      return { is: 'range', start: bound, end: Number.POSITIVE_INFINITY };
  }
}

/** Numbers of a message are doubles there. */
function exactNumber(literal: bigint | number): number | undefined {
  const number = Number(literal);
  if (typeof literal === 'bigint') return Number.isSafeInteger(number) ? number : undefined;
  return Number.isFinite(number) && Math.abs(number) <= Number.MAX_SAFE_INTEGER ? number : undefined;
}

/** The smallest double above a finite one. */
function nextUp(number: number): number {
  if (number === 0) return Number.MIN_VALUE;
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, number);
  view.setBigInt64(0, view.getBigInt64(0) + (number > 0 ? 1n : -1n));
  return view.getFloat64(0);
}

function openFields(condition: RuleCondition, read: (field: RuleField) => Reading): readonly OpenField[] {
  const found = new Map<string, OpenField>();
  const walk = (node: RuleCondition): void => {
    if ('terms' in node) node.terms.forEach(walk);
    else if (node.kind === 'not') walk(node.term);
    else if (node.kind === 'choice') [node.test, node.then, node.else].forEach(walk);
    else if ('field' in node) {
      const reading = read(node.field);
      if (reading.kind === 'open') found.set(keyOf(reading), reading);
    }
  };
  walk(condition);
  return [...found.values()];
}

function keyOf({ filter, path }: OpenField): string {
  return JSON.stringify([filter, ...path]);
}

const truth: Verdict = { yes: always, no: never, yesGaps: [], noGaps: [], total: true };
const falsehood = negated(truth);
const error: Verdict = { yes: never, no: never, yesGaps: [], noGaps: [], total: false };

function gap(feature: string): Verdict {
  return { ...error, yesGaps: [feature], noGaps: [feature] };
}

function total(yes: Formula): Verdict {
  return { ...error, yes, no: not(yes), total: true };
}

function partial(yes: Formula, no: Formula): Verdict {
  return { ...error, yes, no };
}

function negated({ yes, no, yesGaps, noGaps, total: isTotal }: Verdict): Verdict {
  return { yes: no, no: yes, yesGaps: noGaps, noGaps: yesGaps, total: isTotal };
}

function conjunction(terms: readonly Verdict[]): Verdict {
  return {
    yes: all(terms.map(({ yes }) => yes)),
    no: any(terms.map(({ no }) => no)),
    yesGaps: terms.flatMap(({ yesGaps }) => yesGaps),
    noGaps: terms.flatMap(({ noGaps }) => noGaps),
    total: terms.every((term) => term.total),
  };
}

function choice(test: Verdict, then: Verdict, otherwise: Verdict): Verdict {
  const branch = (of: 'yes' | 'no'): Formula => any([all([test.yes, then[of]]), all([test.no, otherwise[of]])]);
  const tested = [...test.yesGaps, ...test.noGaps];
  return {
    yes: branch('yes'),
    no: branch('no'),
    yesGaps: [...tested, ...then.yesGaps, ...otherwise.yesGaps],
    noGaps: [...tested, ...then.noGaps, ...otherwise.noGaps],
    total: test.total && then.total && otherwise.total,
  };
}
