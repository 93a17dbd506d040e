import type { TenantRights } from '../publish/tenant-rights.ts';
import type { PresentedCertificate, TokenRecord } from '../store/tokens.ts';

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
  readonly tenants: TenantRights | null;
  /** Groups that the credential puts its nodes in. Absent: none. */
  readonly groups?: readonly string[];
  /** It serves nodes of its gateway itself: it may ask who they are, and tell what they run. */
  readonly isRelay: boolean;
}

/** The rows behind credentials of nodes, for somebody else who lets nodes in. @throws if nobody can say. */
export interface NodeCredentials {
  /** Undefined: the token is unknown, expired or revoked. @param hash SHA-256 of the whole token. */
  byProof(id: string, hash: Buffer): Promise<TokenRecord | undefined>;
  /** Undefined: no row gives the node anything, or the certificate was replaced. */
  byCertificate(certificate: PresentedCertificate): Promise<TokenRecord | undefined>;
}

export interface NodeAuthenticator {
  /** The identity behind a bearer token; undefined if it is unknown, expired, revoked or not a node's. */
  authenticate(token: string): Promise<NodeIdentity | undefined>;
  /** The identity behind a verified certificate; undefined if no row gives its node anything, or it was replaced. */
  authenticateCertificate(certificate: PresentedCertificate): Promise<NodeIdentity | undefined>;
}
