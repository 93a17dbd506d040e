import type { FederatedMember } from '@signalbox/config';
import type { Endpoint } from '../mcp/endpoint.ts';
import type { UpstreamError, UpstreamHead } from '../upstream/upstream.ts';

/** A member as a route leads to it. */
export interface MemberState extends Endpoint {
  readonly member: FederatedMember;
}

/** One message on its way to a member. */
export interface MemberRequest {
  readonly verb: 'POST' | 'GET' | 'DELETE';
  /** JSON-RPC method; empty for a response and without a body. */
  readonly method: string;
  /** What `Mcp-Name` says on the modern era: the member's own name or URI. */
  readonly name?: string | undefined;
  /** Headers that go on as they came: the caller's trace and parameters. */
  readonly headers?: readonly string[];
  readonly body: Buffer | undefined;
  /** Sending it twice has no other effect than once. */
  readonly repeatable: boolean;
  /** It lasts: no timeout ends it while it is quiet. */
  readonly streams?: boolean;
  /** A call, which limits of policies bound. */
  readonly isCall?: boolean;
}

/** Leave to send to a member: a session, or the knowledge that it needs none. */
export interface Access {
  /** The member's name of the session; empty when there is none. */
  readonly session: string;
  /** The member speaks only the legacy era: whose sessions there a modern request may share. */
  readonly legacyFor?: string;
  headersFor(request: MemberRequest): readonly string[];
}

/**
 * How one member is spoken to, in the era of the client and of the member. Whoever sends through a leg sees neither
 * sessions nor eras: translation between eras is another implementation of this.
 */
export interface MemberLeg {
  readonly state: MemberState;
  /** Begins what is needed to send; at once when it has begun before. Callers at the same time share one beginning. */
  access(): Access | Promise<Access | UpstreamError>;
  /** What an answer says about the access that was used: that it is over, that its body tells, or nothing. */
  verdict(head: UpstreamHead, used: Access): 'lost' | 'ask-body' | 'fine';
  /** The access is over: the next one is another. */
  lost(used: Access): void;
}
