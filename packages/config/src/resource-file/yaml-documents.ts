import { Composer, type CST, type Document, Lexer, type LineCounter, Parser } from 'yaml';

export type YamlDocument = Document.Parsed;

export interface YamlFile {
  readonly documents: readonly YamlDocument[];
  /** Where the first value begins that is nested too deeply; then there are no documents. */
  readonly tooDeepAt?: number;
}

/**
 * The documents of a text, with their faults in each. Both the parser and the composer of `yaml` recurse into what is
 * nested, so nesting is bounded while the parser is fed, word by word: what it and the composer need of the stack is then
 * the same for every text.
 *
 * @param maxDepth what holds a value of the root of a document is at depth 0.
 */
export function readYaml(text: string, lineCounter: LineCounter, maxDepth: number): YamlFile {
  const parser = new Parser(lineCounter.addNewLine);
  // The parser's stack holds the document and below it one entry a level.
  const maxStack = maxDepth + 2;
  const tokens: CST.Token[] = [];
  lineCounter.addNewLine(0);
  for (const lexeme of new Lexer().lex(text)) {
    const { offset } = parser;
    for (const token of parser.next(lexeme)) tokens.push(token);
    if (parser.stack.length > maxStack) return { documents: [], tooDeepAt: offset };
  }
  for (const token of parser.end()) tokens.push(token);
  const composer = new Composer({ lineCounter, uniqueKeys: true, prettyErrors: false });
  return { documents: [...composer.compose(tokens)] };
}
