/** A text → its words in lower case, in order: `getForecast`, `get_forecast` and `Get forecasts` have the same ones. */
export function termsOf(text: string): readonly string[] {
  const spaced = text.normalize('NFKC').replaceAll(wordBegins, ' ');
  return (spaced.toLowerCase().match(words) ?? []).map(singular);
}

/** Where a word begins within a name: `getForecast`, `HTTPServer`. */
const wordBegins = /(?<=[\p{Ll}\p{N}])(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})/gu;
/** Scripts without spaces between words have a term a character. */
const words = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{N}\p{M}]+/gu;

/** English plurals, roughly: whatever it makes of a word, it makes of the same word in a question. */
function singular(word: string): string {
  if (word.length > 4 && word.endsWith('ies')) return `${word.slice(0, -3)}y`;
  return word.length > 3 && word.endsWith('s') && !/(?:ss|us|is)$/.test(word) ? word.slice(0, -1) : word;
}
