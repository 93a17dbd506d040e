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
  'unenforceable',
  'unconfirmed-removal',
] as const;
export type ProblemCode = (typeof problemCodes)[number];

/** Which resource a problem is about. */
export interface ProblemSubject {
  readonly kind: string;
  readonly scope: string;
  readonly name: string;
}

/** Collects the problems of one resource, or of several of a scope one after the other. */
export class ProblemList {
  readonly problems: Problem[] = [];
  /** Whether one of them is an error. */
  refused = false;
  readonly #scope: string;
  #kind: string;
  #name: string;

  constructor({ kind, scope, name }: ProblemSubject) {
    this.#kind = kind;
    this.#scope = scope;
    this.#name = name;
  }

  /** Goes on with another resource of the scope. */
  about(kind: string, name: string): this {
    this.#kind = kind;
    this.#name = name;
    return this;
  }

  error(code: ProblemCode, field: string, message: string): void {
    this.refused = true;
    this.problems.push(this.#problem('error', code, field, message));
  }

  warn(code: ProblemCode, field: string, message: string): void {
    this.problems.push(this.#problem('warning', code, field, message));
  }

  /** An error, if there is a fault: `list.check('spec.port', portFault(port))`. */
  check(field: string, fault: string | undefined): void {
    if (fault !== undefined) this.error('invalid-value', field, fault);
  }

  /** A missing-field error if the text is empty, else what the fault function says. */
  require(field: string, text: string, fault: (text: string) => string | undefined): void {
    if (text === '') this.error('missing-field', field, 'is required');
    else this.check(field, fault(text));
  }

  /** Checks a list of texts: its length, then every entry. */
  checkEach(field: string, list: readonly string[], limit: number, fault: (text: string) => string | undefined): void {
    if (!this.bounded(field, list, limit)) return;
    for (const [at, text] of list.entries()) this.check(`${field}[${at}]`, fault(text));
  }

  /** Whether a list is within its bound; an error if not, so that nobody walks it. */
  bounded(field: string, list: { readonly length: number }, limit: number): boolean {
    if (list.length <= limit) return true;
    this.error('limit-exceeded', field, `has ${list.length} entries; at most ${limit} are allowed`);
    return false;
  }

  #problem(severity: Problem['severity'], code: ProblemCode, field: string, message: string): Problem {
    return { severity, code, kind: this.#kind, scope: this.#scope, name: this.#name, field, message };
  }
}

/** Whether any of the problems is an error. */
export function hasErrors(problems: readonly Problem[]): boolean {
  return problems.some((problem) => problem.severity === 'error');
}
