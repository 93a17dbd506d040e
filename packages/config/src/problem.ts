/** Why a resource was refused, or what is doubtful about it. */
export interface Problem {
  /** An error refuses the whole write; a warning is reported and applied. */
  readonly severity: 'error' | 'warning';
  /** Stable reason, listed in docs/problems.md. */
  readonly code: ProblemCode;
  /** Kind as written; it may be unknown. Empty when the document has none. */
  readonly kind: string;
  /** Tenant, or `operator`. */
  readonly scope: string;
  readonly name: string;
  /** Path of the field in the document, such as `spec.members[0].backend`; empty for the whole document. */
  readonly field: string;
  /** What is wrong and what to do. */
  readonly message: string;
  /** File and 1-based line, when the resource came from a file. */
  readonly file?: string;
  readonly line?: number;
}

export const problemCodes = [
  'syntax',
  'unknown-kind',
  'unknown-field',
  'invalid-value',
  'missing-field',
  'wrong-scope',
  'duplicate',
  'dangling-reference',
  'conflict',
  'bad-expression',
  'limit-exceeded',
  'still-referenced',
  'unset-variable',
] as const;
export type ProblemCode = (typeof problemCodes)[number];
