const maxUrl = 2048;

/** Why a text is no http or https URL that may be called. The text is not repeated: it may hold a credential. */
export function urlFault(text: string): string | undefined {
  if (text.length > maxUrl) return `has ${text.length} characters; at most ${maxUrl} are allowed`;
  if (!/^https?:\/\/[^/\\\s]/i.test(text) || /[\s\\\p{Cc}]/u.test(text) || !URL.canParse(text)) {
    return 'is not an http or https URL';
  }
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') return 'must not contain a user name or password';
  if (text.includes('#')) return 'must not contain a fragment';
  return undefined;
}
