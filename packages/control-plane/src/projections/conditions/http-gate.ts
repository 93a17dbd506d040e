import { all, type Formula, not } from './formula.ts';

const methods = 'GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS';

/**
 * A path that our own proxy refuses because another one could mean the same: an empty or a dot segment, an escape that is
 * needless, malformed or hides a separator, a character that has to be escaped.
 */
const oddPath = [
  ...['//|/\\.\\.?(?:/|$)|', '%(?:[^0-9A-F]|[0-9A-F][^0-9A-F]|[0-9A-F]?$)|'],
  '%(?:00|2[DEF]|3[0-9]|4[1-9A-F]|5[0-9ACF]|6[1-9A-F]|7[0-9AE])|',
  "[^!$%&'()*+,./0-9:;=@A-Z\\[\\]_a-z~-]",
].join('');

/** What the gate of our own proxy lets pass of HTTP. */
export const isGated: Formula = all([
  { kind: 'header', name: ':method', match: { is: 'regex', text: methods } },
  not({ kind: 'path', match: { is: 'search', text: oddPath } }),
]);
