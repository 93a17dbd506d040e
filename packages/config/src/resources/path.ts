import { quote } from './name.ts';

/** Characters of a path; also the longest one a route can have. */
const maxPath = 512;
const shape = /^(?:\/[A-Za-z0-9._~-]+)+$/;

/** Why a text is no path of a route or tenant: segments of unreserved characters (RFC 3986), no trailing slash. */
export function pathFault(text: string): string | undefined {
  if (text.length > maxPath) return `has ${text.length} characters; at most ${maxPath} are allowed`;
  if (!text.startsWith('/')) return `${quote(text)} is not a path: start it with '/'`;
  if (text.endsWith('/')) return `${quote(text)}: write the path without '/' at its end`;
  if (!shape.test(text)) {
    return `${quote(text)} is not a path: use segments of letters, digits, '-', '.', '_' and '~' between single '/'`;
  }
  return /\/\.\.?(?:\/|$)/.test(text) ? `${quote(text)}: '.' and '..' are not allowed as segments` : undefined;
}

/** Whether a path is the prefix itself or lies below it. */
export function isBelow(path: string, prefix: string): boolean {
  return path.startsWith(prefix) && (path.length === prefix.length || path[prefix.length] === '/');
}
