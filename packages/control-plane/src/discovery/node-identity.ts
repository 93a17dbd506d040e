/** Who a subscriber is, from its credential alone, never from what it claims. */
export interface NodeIdentity {
  readonly tokenId: string;
  /** Name of the token. */
  readonly name: string;
  /** Gateway whose nodes may use the token. */
  readonly gateway: string;
  /** Name of the family of resources that its nodes understand. */
  readonly family: string;
  /** Tenants that it may receive; null: all. */
  readonly tenants: ReadonlySet<string> | null;
}

export interface NodeAuthenticator {
  /** The identity behind a bearer token; undefined if it is unknown, expired, revoked or not a node's. */
  authenticate(token: string): Promise<NodeIdentity | undefined>;
}
