import { quote } from './name.ts';

/** Why a lower-case text is no field name (RFC 9110 section 5.1) of at most 64 characters. */
export function fieldNameFault(name: string): string | undefined {
  return /^[!#$%&'*+.^_`|~a-z0-9-]{1,64}$/.test(name) ? undefined : `${quote(name)} is not a header name`;
}

/** Why a text is no field value: printable ASCII, no space at either end. */
export function fieldValueFault(value: string, limit: number): string | undefined {
  if (value.length > limit) return `has ${value.length} characters; at most ${limit} are allowed`;
  return /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value)
    ? undefined
    : 'must be printable ASCII without a space at either end';
}
