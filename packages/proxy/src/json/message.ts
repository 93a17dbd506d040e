/** Byte offsets of a value within a body: `[start, end)`. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/**
 * A JSON-RPC message, strictly read once: every byte of the body was checked (syntax, UTF-8, repeated keys at any
 * depth, nesting, `__proto__`), and the parts that routing and policy need were located.
 */
export interface ScannedMessage {
  readonly bytes: Buffer;
  /** The message itself within the body. */
  readonly span: Span;
  /** `jsonrpc` is the string "2.0". */
  readonly jsonrpc: boolean;
  readonly method: string | undefined;
  /** Raw id as it stands in the body. */
  readonly id: Span | undefined;
  readonly idType: 'string' | 'integer' | 'fraction' | 'null' | 'other' | 'absent';
  readonly hasResult: boolean;
  readonly hasError: boolean;
  readonly result: Span | undefined;
  readonly error: Span | undefined;
  readonly params: Span | undefined;
  readonly paramsType: 'object' | 'other' | 'absent';
  /** `params.name`, when it is a string. */
  readonly name: string | undefined;
  /** `params.uri`, when it is a string. */
  readonly uri: string | undefined;
  /** `params.arguments`. */
  readonly args: Span | undefined;
  /** `params._meta`. */
  readonly meta: Span | undefined;
}

/** Why a body is not one strict JSON document. */
export interface ScanFault {
  readonly fault:
    | 'syntax'
    | 'utf8'
    | 'duplicate-key'
    | 'depth'
    | 'forbidden-key'
    | 'too-many-keys'
    | 'too-large'
    | 'batch-too-long'
    | 'empty'
    | 'trailing';
  /** Offset of the first byte that is wrong. */
  readonly at: number;
}

/** What a body turned out to be. */
export type ScannedBody =
  | { readonly kind: 'message'; readonly message: ScannedMessage }
  | { readonly kind: 'batch'; readonly items: readonly ScannedMessage[] }
  | { readonly kind: 'fault'; readonly fault: ScanFault }
  /** A JSON value that is neither an object nor an array of objects. */
  | { readonly kind: 'not-a-message' };
