import { METHODS } from 'node:http';

/** What the first line of a request says (RFC 9112 §3). */
export interface RequestLine {
  readonly method: string;
  readonly target: string;
  readonly httpVersion: string;
}

/** Reads request lines, strictly: one blank between their parts. @returns undefined when it is none. */
export function parseRequestLine(line: string): RequestLine | undefined {
  const methodEnd = line.indexOf(' ');
  const targetEnd = line.length - versionLength;
  if (methodEnd < 0 || targetEnd <= methodEnd) return undefined;
  const method = line.slice(0, methodEnd);
  if (!knownMethods.has(method) || !line.startsWith(' HTTP/', targetEnd)) return undefined;
  return {
    method,
    target: line.slice(methodEnd + 1, targetEnd),
    httpVersion: line.slice(targetEnd + ' HTTP/'.length),
  };
}

/** Other words are not refused as methods, but as something else than HTTP. */
const knownMethods: ReadonlySet<string> = new Set(METHODS);
const versionLength = ' HTTP/1.1'.length;
