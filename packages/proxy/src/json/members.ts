import type { Span } from './message.ts';

/** A member of an object: its key, decoded, and where its value stands. */
export interface Member {
  readonly key: string;
  readonly value: Span;
}

/** Members of the object at `span`, in order. The bytes must have passed `scanBody`; empty for any other value. */
export function objectMembers(_bytes: Buffer, _span: Span): Member[] {
  return [];
}

/** The value of one member of the object at `span`; undefined when it has none of that name. */
export function memberValue(_bytes: Buffer, _span: Span, _key: string): Span | undefined {
  return undefined;
}

/** Elements of the array at `span`, in order. The bytes must have passed `scanBody`; empty for any other value. */
export function arrayElements(_bytes: Buffer, _span: Span): Span[] {
  return [];
}

/** The string at `span`, decoded; undefined for any other value. */
export function stringValue(_bytes: Buffer, _span: Span): string | undefined {
  return undefined;
}
