const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Why a text is no name of a resource, tenant, listener or rule: a DNS label of RFC 1123, lower case. */
export function nameFault(text: string): string | undefined {
  if (label.test(text)) return undefined;
  return `${quote(text)} is not a name: use 1 to 63 lower-case letters, digits and '-', not '-' at either end`;
}

/** A text within quotes for a message, cut when it is long. Never for a value that may be secret. */
export function quote(text: string): string {
  return JSON.stringify(text.length <= 80 ? text : `${text.slice(0, 77)}...`);
}

/** Why a text is not fit to be shown to people or put into a log: too long, or with control characters. */
export function textFault(text: string, maxLength: number): string | undefined {
  if (text.length > maxLength) return `has ${text.length} characters; at most ${maxLength} are allowed`;
  return /\p{Cc}/u.test(text) ? 'contains control characters' : undefined;
}
