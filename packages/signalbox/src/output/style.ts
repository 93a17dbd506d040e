import { styleText } from 'node:util';

/** Colours, or nothing at all where they are not wanted. */
export interface Style {
  good(text: string): string;
  bad(text: string): string;
  doubtful(text: string): string;
  dim(text: string): string;
  strong(text: string): string;
}

export function style(colours: boolean): Style {
  const paint = (format: Parameters<typeof styleText>[0]) => (text: string) =>
    colours ? styleText(format, text, { validateStream: false }) : text;
  return {
    good: paint('green'),
    bad: paint('red'),
    doubtful: paint('yellow'),
    dim: paint('dim'),
    strong: paint('bold'),
  };
}
