import type { PresentedCertificate } from '../store/tokens.ts';

/** Who a subscriber is, from its credential alone, never from what it claims. */
export interface NodeIdentity {
  readonly tokenId: string;
  /** Name of the token. */
  readonly name: string;
  /** Gateway whose nodes may use the credential. */
  readonly gateway: string;
  /** The only node that it is for; undefined: any of the gateway. */
  readonly node: string | undefined;
  /** Name of the family of resources that its nodes understand. */
  readonly family: string;
  /** Tenants that it may receive; null: all. */
  readonly tenants: ReadonlySet<string> | null;
  /** Groups that the credential puts its nodes in. Absent: none. */
  readonly groups?: readonly string[];
}

export interface NodeAuthenticator {
  /** The identity behind a bearer token; undefined if it is unknown, expired, revoked or not a node's. */
  authenticate(token: string): Promise<NodeIdentity | undefined>;
  /** The identity behind a verified certificate; undefined if no row gives its node anything, or it was replaced. */
  authenticateCertificate(certificate: PresentedCertificate): Promise<NodeIdentity | undefined>;
}
