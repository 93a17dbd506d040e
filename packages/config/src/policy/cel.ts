import { celEnv, celFunc, celMethod, CelScalar, isCelError, isCelList, isCelMap, parse, plan } from '@bufbuild/cel';
import { RE2JS } from '@bufbuild/re2';

/** A node of the syntax tree of an expression. */
export type Expr = ReturnType<typeof parse>['expr'];

/** An expression with the character offset of each of its nodes. */
export interface Parsed {
  readonly expr: Expr;
  /** Offset by node id. */
  readonly positions: Readonly<Record<string, number>>;
}

/** A planned expression. Gives its value, or a CelError; never throws. */
export type Evaluate = (variables: object) => unknown;

/** Bounds on what one evaluation may cost. */
export const celLimits = {
  /** Characters of the source. */
  source: 4096,
  /** Nodes of the tree, after macros are expanded. */
  nodes: 500,
  depth: 16,
  /** Loops within loops. */
  loops: 2,
  /** Entries that a loop may run over, if it is alone and if there is another within or around it. */
  loopEntries: 5_000,
  nestedLoopEntries: 100,
  /** Characters of a pattern, and of a text that is matched against one. */
  pattern: 512,
  matchedText: 64 * 1024,
} as const;

/** Functions that give what a loop runs over, or an error if it has too many entries. */
export type LoopBound = '@bounded' | '@boundedNested';

export function parseExpression(source: string): Parsed {
  const parsed = parse(source);
  return { expr: parsed.expr, positions: parsed.sourceInfo?.positions ?? {} };
}

export function planExpression(expr: Expr): Evaluate {
  return plan(environment, expr) as Evaluate;
}

/** Functions and methods of the language, as `name/arity` and `.name/arity`. */
export function signatures(): ReadonlySet<string> {
  return known;
}

/** Compiles a pattern; throws if RE2 refuses it. Patterns are constants of rules, so the memo holds no request data. */
export function compilePattern(pattern: string): RE2JS {
  const present = patterns.get(pattern);
  if (present !== undefined) return present;
  const compiled = RE2JS.compile(pattern);
  if (patterns.size >= maxPatterns) patterns.clear();
  patterns.set(pattern, compiled);
  return compiled;
}

/** What an evaluation gave instead of true or false, for people. */
export function describeResult(result: unknown): string {
  if (isCelError(result)) return result.message.slice(0, 200);
  return `gives ${typeText(result)}, not true or false`;
}

function typeText(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return 'a string';
  if (typeof value === 'bigint' || typeof value === 'number') return 'a number';
  return isCelList(value) ? 'a list' : isCelMap(value) ? 'a map' : 'another type';
}

const maxPatterns = 4096;
const patterns = new Map<string, RE2JS>();

const environment = celEnv({
  funcs: [
    bounded('@bounded', celLimits.loopEntries),
    bounded('@boundedNested', celLimits.nestedLoopEntries),
    celFunc('@boundedList', [CelScalar.DYN], CelScalar.DYN, (value) => (isCelList(value) ? bound(value) : value)),
    // The ones that come with the interpreter build an array of all characters.
    celFunc('size', [CelScalar.STRING], CelScalar.INT, countCharacters),
    celMethod('size', CelScalar.STRING, [], CelScalar.INT, function () {
      return countCharacters(this);
    }),
  ],
  re2: {
    compile: (pattern) => ({
      test: (text) => {
        if (text.length > celLimits.matchedText)
          throw new Error('the text is too long to be matched against a pattern');
        return compilePattern(pattern).test(text);
      },
    }),
  },
});

const known: ReadonlySet<string> = new Set(
  [...environment.funcs]
    .filter((func) => !func.name.startsWith('@bounded'))
    .map((func) => `${func.target === undefined ? '' : '.'}${func.name}/${func.arguments.length}`),
);

function bounded(name: LoopBound, limit: number): ReturnType<typeof celFunc> {
  return celFunc(name, [CelScalar.DYN], CelScalar.DYN, (value) =>
    isCelList(value) || isCelMap(value) ? bound(value, limit) : value,
  );
}

function bound<T extends { readonly size: number }>(value: T, limit: number = celLimits.loopEntries): T {
  if (value.size <= limit) return value;
  throw new Error(`a loop may run over at most ${limit} entries, not ${value.size}`);
}

/** Code points, as CEL counts them. */
function countCharacters(text: string): bigint {
  let count = 0;
  for (const _ of text) count += 1;
  return BigInt(count);
}
