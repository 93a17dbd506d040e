import { Code, ConnectError, type ContextKey, createContextKey } from '@connectrpc/connect';

import type { TokenRecord, TokenRole } from '../store/tokens.ts';

/** Who calls the API, from the credential alone. */
export interface Caller {
  readonly tokenId: string;
  /** Name of the token: the author of revisions. */
  readonly name: string;
  readonly role: TokenRole;
  /** Empty: not bound to a tenant. */
  readonly tenants: readonly string[];
}

/** Where a service finds the caller. There is always one: requests without are answered before they get so far. */
export const callerKey: ContextKey<Caller | undefined> = createContextKey<Caller | undefined>(undefined, {
  description: 'caller',
});

/** What knows the tokens. */
export interface Identifier {
  identify(credential: string): Promise<TokenRecord | undefined>;
}

/**
 * The caller behind an `Authorization` header.
 * @throws ConnectError unauthenticated, saying only that the credential is missing or not accepted.
 */
export async function authenticate(tokens: Identifier, authorization: string | undefined): Promise<Caller> {
  const credential = /^bearer ([\x21-\x7e]{1,200})$/i.exec(authorization ?? '')?.[1];
  if (credential === undefined) {
    throw new ConnectError('a token is required: send "Authorization: Bearer <token>"', Code.Unauthenticated);
  }
  const token = await tokens.identify(credential);
  if (!token) throw new ConnectError('the token is not known, expired or revoked', Code.Unauthenticated);
  return { tokenId: token.id, name: token.name, role: token.role, tenants: token.tenants };
}
