import type { RequestHead } from '../http/exchange.ts';

/** The head of a request with another method and other headers; an undefined one is taken out. */
export function headWith(
  head: RequestHead,
  { method, headers }: { readonly method: string; readonly headers: Readonly<Record<string, string | undefined>> },
): RequestHead {
  const { path, query, host, port, remoteAddress, secure, contentLength } = head;
  return {
    ...{ method, path, query, host, port, remoteAddress, secure, contentLength },
    header: (name) => (Object.hasOwn(headers, name) ? headers[name] : head.header(name)),
    withPrefix: (prefix) => head.withPrefix(prefix),
  };
}
