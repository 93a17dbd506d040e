import { patternSize } from '@signalbox/config';

/** Terms of a pattern: a program of this size compiles within the bounds of that engine. */
const maxPatternSize = 500;

/** What of a pattern agentgateway cannot match as our proxy does. */
export function patternGap(pattern: string): string | undefined {
  const written = patternSize(pattern) > maxPatternSize ? 'a pattern that is too large for it' : translate(pattern);
  return typeof written === 'string' ? written : undefined;
}

/** A pattern of ours in the words of its engine. @throws Error for what {@link patternGap} names */
export function enginePattern(pattern: string): string {
  const written = translate(pattern);
  if (typeof written === 'string') throw new Error(`${written}: ${JSON.stringify(pattern)}`);
  return written.text;
}

/**
 * Its engine reads `\d`, `\w`, `\s` and `\b` as classes of Unicode, takes `&&`, `--`, `~~` and `[` within a class for
 * operators and `\<` for a boundary. So classes are written out, and everything that is not a letter or digit is escaped.
 */
function translate(pattern: string): { readonly text: string } | 'a pattern of a form that it may read otherwise' {
  const terms: string[] = [];
  for (let rest = pattern; rest !== '';) {
    const term = firstTerm(rest, terms.length === 0 ? '' : (terms.at(-1) ?? ''));
    if (!term) return 'a pattern of a form that it may read otherwise';
    terms.push(term.text);
    rest = rest.slice(term.length);
  }
  return { text: terms.join('') };
}

interface Term {
  readonly text: string;
  /** Of what it was written from. */
  readonly length: number;
}

function firstTerm(rest: string, before: string): Term | undefined {
  const [as = ''] = /^(?:\(\?:|\((?!\?)|[)|^$.])/.exec(rest) ?? [];
  if (as !== '') return { text: as, length: as.length };
  const [repetition = ''] = /^(?:[*+?]|\{\d+(?:,\d*)?\})\??/.exec(rest) ?? [];
  if (repetition !== '') return isRepetition(before) ? undefined : { text: repetition, length: repetition.length };
  if (rest.startsWith('[')) return characterClass(rest);
  if (rest.startsWith('\\')) return escape(rest);
  return /^[*+?(]/.test(rest) ? undefined : literal(rest);
}

function isRepetition(text: string): boolean {
  return /^(?:[*+?]|\{\d+(?:,\d*)?\})\??$/.test(text);
}

const classes: Readonly<Record<string, string>> = { d: '0-9', w: '0-9A-Za-z_', s: '\\t\\n\\f\\r\\x20' };

function escape(rest: string): Term | undefined {
  const letter = rest[1] ?? '';
  const members = classes[letter.toLowerCase()];
  if (members !== undefined) return { text: `[${letter === letter.toLowerCase() ? '' : '^'}${members}]`, length: 2 };
  if (letter === 'b') return { text: '(?-u:\\b)', length: 2 };
  const character = escaped(rest);
  return character === undefined ? undefined : { text: quoted(character), length: 2 };
}

function literal(rest: string): Term | undefined {
  const [character = ''] = rest;
  return /[\x20-\x7e]/.test(character) ? { text: quoted(character), length: 1 } : undefined;
}

/** The members, from the bracket on. A `]` in the first place is one of them. */
function characterClass(rest: string): Term | undefined {
  const isNegated = rest.startsWith('[^');
  const members: string[] = [];
  let at = isNegated ? 2 : 1;
  for (let first = true; first || rest[at] !== ']'; first = false) {
    const member = classMember(rest.slice(at));
    if (!member) return undefined;
    members.push(member.text);
    at += member.length;
  }
  return { text: `[${isNegated ? '^' : ''}${members.join('')}]`, length: at + 1 };
}

function classMember(rest: string): Term | undefined {
  const shorthand = classes[/^\\([dws])/.exec(rest)?.[1] ?? ''];
  if (shorthand !== undefined) return { text: shorthand, length: 2 };
  const low = classCharacter(rest);
  if (!low) return undefined;
  const after = rest.slice(low.length);
  if (!after.startsWith('-') || after[1] === ']' || after.length < 2) return low;
  const high = classCharacter(after.slice(1));
  return high && { text: `${low.text}-${high.text}`, length: low.length + 1 + high.length };
}

function classCharacter(rest: string): Term | undefined {
  // `[:alpha:]` is a class within a class.
  if (rest.startsWith('[:')) return undefined;
  if (!rest.startsWith('\\')) return literal(rest);
  const character = escaped(rest);
  return character === undefined ? undefined : { text: quoted(character), length: 2 };
}

const controls: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f', v: '\v' };

/** The character that a backslash and a punctuation mark, or a letter for a control character, stand for. */
function escaped(rest: string): string | undefined {
  const mark = rest[1] ?? '';
  return controls[mark] ?? (/[!-/:-@[-`{-~]/.test(mark) ? mark : undefined);
}

/** A character that stands for itself in that engine, in a class and elsewhere. */
function quoted(character: string): string {
  if (/[0-9A-Za-z_]/.test(character)) return character;
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
}
