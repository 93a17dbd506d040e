import { celLimits } from '@signalbox/config';
import type { Formula, Match } from '../conditions/formula.ts';
import { enginePattern } from './pattern.ts';

/** Bytes of a text that a pattern is matched against: our proxy refuses a longer one. */
const maxMatchedBytes = celLimits.matchedText;

/**
 * A condition as an expression of agentgateway. Its CEL is near to ours but not the same: `in` finds parts of texts,
 * `has` is true for null, types are not checked beforehand. So each comparison asks for the type first. What may be
 * missing is asked for, too: an error would be no answer, and a condition is never an error.
 */
export function expressionOf(formula: Formula): string {
  switch (formula.kind) {
    case 'always':
      return 'true';
    case 'never':
      return 'false';
    case 'all':
      return formula.terms.map(grouped).join(' && ');
    case 'any':
      return formula.terms.map(grouped).join(' || ');
    case 'not':
      return `!(${expressionOf(formula.term)})`;
    case 'path':
      return testsOf('request.path', formula.match, []).join(' && ');
    case 'header':
      if (formula.match === 'present') return `${quote(formula.name)} in request.headers`;
      if (formula.name !== ':method') throw new Error(`no route there has rules about the content of ${formula.name}`);
      return testsOf('request.method', formula.match, []).join(' && ');
    case 'value': {
      const subject = reference(formula.path);
      // What a message is about is a text: whoever reads it has asked for that.
      if (formula.filter === 'mcp') return testsOf(subject, formula.match, []).join(' && ');
      return [...presenceOf(formula.path), ...testsOf(subject, formula.match, [isText(subject)])].join(' && ');
    }
  }
}

/** The value at a path. Its first part is a variable. */
function reference([variable = '', ...within]: readonly string[]): string {
  return variable + within.map((name) => (isIdentifier(name) ? `.${name}` : `[${quote(name)}]`)).join('');
}

export function quote(text: string): string {
  return JSON.stringify(text);
}

function grouped(formula: Formula): string {
  const text = expressionOf(formula);
  return formula.kind === 'any' || formula.kind === 'all' || formula.kind === 'value' ? `(${text})` : text;
}

/** That every part of a path is there, from the first on. */
function presenceOf(path: readonly string[]): readonly string[] {
  return path.slice(1).flatMap((name, at) => {
    const around = reference(path.slice(0, at + 1));
    return isIdentifier(name) ? [`has(${around}.${name})`] : [`type(${around}) == map`, `${quote(name)} in ${around}`];
  });
}

function isText(subject: string): string {
  return `type(${subject}) == string`;
}

/** @param typed what has to hold before a text is compared */
function testsOf(subject: string, match: Match, typed: readonly string[]): readonly string[] {
  switch (match.is) {
    case 'present':
      return [];
    case 'null':
      return [`${subject} == null`];
    case 'any-text':
      return [isText(subject)];
    case 'any-number':
      return [isNumber(subject)];
    case 'list':
      return [`type(${subject}) == list`];
    case 'list-with':
      return [`type(${subject}) == list`, `${quote(match.text)} in ${subject}`];
    case 'number':
      return [isNumber(subject), `${subject} == ${numeral(match.value)}`];
    case 'range':
      return [
        isNumber(subject),
        ...(match.start === Number.NEGATIVE_INFINITY ? [] : [`${subject} >= ${numeral(match.start)}`]),
        ...(match.end === Number.POSITIVE_INFINITY ? [] : [`${subject} < ${numeral(match.end)}`]),
      ];
    case 'flag':
      return [`${subject} == ${match.value}`];
    case 'exact':
      return [...typed, `${subject} == ${quote(match.text)}`];
    case 'prefix':
      return [...typed, `${subject}.startsWith(${quote(match.text)})`];
    case 'suffix':
      return [...typed, `${subject}.endsWith(${quote(match.text)})`];
    case 'contains':
      return [...typed, `${subject}.contains(${quote(match.text)})`];
    case 'regex':
      return [...typed, ...searched(subject, `^(?:${enginePattern(match.text)})$`)];
    case 'search':
      return [...typed, ...searched(subject, enginePattern(match.text))];
  }
}

/** A longer text is an error, whatever stands around it: neither the pattern nor its contrary holds. */
function searched(subject: string, pattern: string): readonly string[] {
  return [`(size(${subject}) <= ${maxMatchedBytes} ? ${subject}.matches(${quote(pattern)}) : null)`];
}

function isNumber(subject: string): string {
  return `type(${subject}) in [int, uint, double]`;
}

/** As JavaScript writes it, which is a whole number or one with a point or exponent: a literal of CEL in both cases. */
function numeral(value: number): string {
  return String(value === 0 ? 0 : value);
}

const reserved = new Set([
  ...['as', 'break', 'const', 'continue', 'else', 'false', 'for', 'function', 'if', 'import', 'in', 'let', 'loop'],
  ...['namespace', 'null', 'package', 'return', 'true', 'var', 'void', 'while'],
]);

function isIdentifier(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !reserved.has(name);
}
