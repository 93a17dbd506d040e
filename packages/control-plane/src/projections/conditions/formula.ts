/**
 * A condition on what a data plane knows of a request: values by path, and headers. Unlike an expression of a rule it is
 * never an error: a value that is not there does not match.
 */
export type Formula =
  | { readonly kind: 'always' }
  | { readonly kind: 'never' }
  | { readonly kind: 'all' | 'any'; readonly terms: readonly Formula[] }
  | { readonly kind: 'not'; readonly term: Formula }
  | { readonly kind: 'value'; readonly filter: MetadataFilter; readonly path: readonly string[]; readonly match: Match }
  | { readonly kind: 'header'; readonly name: string; readonly match: TextMatch | 'present' }
  /** The path without query, as it was sent. */
  | { readonly kind: 'path'; readonly match: TextMatch };

/** A text that a field can be, and when it is. */
export interface Option {
  readonly text: string;
  readonly when: Formula;
}

/** Where a value comes from: the message, or the verified caller. For Envoy, the filter that sets its metadata. */
export type MetadataFilter = 'mcp' | 'jwt';

export type Match =
  | TextMatch
  | { readonly is: 'present' | 'null' | 'any-text' | 'any-number' | 'list' }
  | { readonly is: 'number'; readonly value: number }
  /** From `start`, below `end`. */
  | { readonly is: 'range'; readonly start: number; readonly end: number }
  | { readonly is: 'flag'; readonly value: boolean }
  | { readonly is: 'list-with'; readonly text: string };

export interface TextMatch {
  /** `regex` has to match the whole text, `search` some part of it. */
  readonly is: 'exact' | 'prefix' | 'suffix' | 'contains' | 'regex' | 'search';
  readonly text: string;
  readonly ignoreCase?: boolean;
}

export const always: Formula = { kind: 'always' };
export const never: Formula = { kind: 'never' };

export function all(terms: readonly Formula[]): Formula {
  return join('all', terms, never, always);
}

export function any(terms: readonly Formula[]): Formula {
  return join('any', terms, always, never);
}

export function not(term: Formula): Formula {
  if (term.kind === 'always') return never;
  if (term.kind === 'never') return always;
  return term.kind === 'not' ? term.term : { kind: 'not', term };
}

export function value(filter: MetadataFilter, path: readonly string[], match: Match): Formula {
  return { kind: 'value', filter, path, match };
}

/** Whether two formulas are written alike. */
export function same(a: Formula, b: Formula): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Matchers in a formula. */
export function sizeOf(formula: Formula): number {
  switch (formula.kind) {
    case 'all':
    case 'any':
      return formula.terms.reduce((size, term) => size + sizeOf(term), 0);
    case 'not':
      return sizeOf(formula.term);
    case 'always':
    case 'never':
    case 'header':
    case 'path':
    case 'value':
      return 1;
  }
}

/** `decisive` decides alone, `neutral` says nothing. */
function join(kind: 'all' | 'any', terms: readonly Formula[], decisive: Formula, neutral: Formula): Formula {
  const flat = terms.flatMap((term) => (term.kind === kind ? term.terms : [term]));
  if (flat.some((term) => term.kind === decisive.kind)) return decisive;
  const distinct = new Map(
    flat.filter(({ kind: of }) => of !== neutral.kind).map((term) => [JSON.stringify(term), term]),
  );
  const [first, ...rest] = kind === 'all' ? withoutImplied([...distinct.values()]) : distinct.values();
  if (first === undefined) return neutral;
  return rest.length === 0 ? first : { kind, terms: [first, ...rest] };
}

/** A value that matches is present: nobody has to ask for that, too. */
function withoutImplied(terms: readonly Formula[]): readonly Formula[] {
  const matched = new Set(terms.flatMap((term) => (isPresence(term) ? [] : placeOf(term))));
  return terms.filter((term) => !isPresence(term) || !placeOf(term).some((place) => matched.has(place)));
}

function isPresence(term: Formula): boolean {
  return term.kind === 'value' && term.match.is === 'present';
}

function placeOf(term: Formula): string[] {
  return term.kind === 'value' ? [JSON.stringify([term.filter, term.path])] : [];
}
