import { termsOf } from './terms.ts';

/** What search reads of a tool. */
export interface SearchedTool {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** Names of its arguments. */
  readonly parameters: readonly string[];
}

/** A tool, read once for all questions. */
export interface ToolDocument {
  readonly name: string;
  /** How much each term weighs in it: how often it stands there, more in a name than in a description. */
  readonly weights: ReadonlyMap<string, number>;
  /** All weights together. */
  readonly length: number;
}

/** How much a word counts by where it stands. */
const fieldWeights = { name: 3, title: 2, description: 1, parameters: 1 };
/** Saturation and normalisation by length, as is usual for BM25. */
const bm25 = { k1: 1.2, b: 0.75 };
/** Letters of a word that may be the beginning of one, if nobody has it as a whole. */
const leastPrefix = 4;
/** Words of one question that are looked for. */
const maxTerms = 32;

export function toolDocument({ name, title, description, parameters }: SearchedTool): ToolDocument {
  const weights = new Map<string, number>();
  const add = (text: string, weight: number) => {
    for (const term of termsOf(text)) weights.set(term, (weights.get(term) ?? 0) + weight);
  };
  add(name, fieldWeights.name);
  add(title, fieldWeights.title);
  add(description, fieldWeights.description);
  for (const parameter of parameters) add(parameter, fieldWeights.parameters);
  let length = 0;
  for (const weight of weights.values()) length += weight;
  return { name, weights, length };
}

/**
 * Positions of the tools that a question is about, best first (BM25 over the weighed fields); equal ones in their order.
 * What a word is worth depends on the given tools alone. A tool whose name is the question comes first.
 */
export function rankTools(question: string, tools: readonly ToolDocument[]): readonly number[] {
  const scores = new Float64Array(tools.length);
  const averageLength = tools.reduce((sum, { length }) => sum + length, 0) / Math.max(1, tools.length);
  for (const term of new Set(termsOf(question).slice(0, maxTerms))) {
    const found = weightsOf(term, tools);
    const count = found.filter((weight) => weight > 0).length;
    const worth = Math.log(1 + (tools.length - count + 0.5) / (count + 0.5));
    for (const [at, weight] of found.entries()) {
      if (weight === 0) continue;
      const norm = bm25.k1 * (1 - bm25.b + (bm25.b * (tools[at] as ToolDocument).length) / averageLength);
      scores[at] = (scores[at] as number) + (worth * weight * (bm25.k1 + 1)) / (weight + norm);
    }
  }
  const named = question.trim();
  const scoreOf = (at: number) => (tools[at]?.name === named ? Number.POSITIVE_INFINITY : (scores[at] as number));
  const matches = [...tools.keys()].filter((at) => scoreOf(at) > 0);
  return matches.sort((a, b) => (scoreOf(a) === scoreOf(b) ? a - b : scoreOf(b) - scoreOf(a)));
}

/** How much a term weighs in each tool: as a whole word, or, when no tool has that, as the beginning of others. */
function weightsOf(term: string, tools: readonly ToolDocument[]): readonly number[] {
  const whole = tools.map(({ weights }) => weights.get(term) ?? 0);
  if (term.length < leastPrefix || whole.some((weight) => weight > 0)) return whole;
  return tools.map(({ weights }) => {
    let weight = 0;
    for (const [known, own] of weights) if (known.startsWith(term)) weight += own;
    return weight;
  });
}
