import type { DataPlane } from '@signalbox/config';

/** How far a data plane has a feature: `partly` and `no` come with a note that says what happens instead. */
export type Support = 'yes' | 'partly' | 'no';

export interface Verdict {
  readonly support: Support;
  /** What is different; empty when nothing is. */
  readonly note: string;
}

/** One line of the matrix of features by data plane. */
export interface Capability {
  readonly feature: string;
  readonly planes: Readonly<Record<DataPlane, Verdict>>;
}

/** A feature of resources, and how a projection finds out whether it has it. */
export interface Feature {
  readonly name: string;
  readonly probe: Probe;
}

export type Probe =
  /** A rule that uses the feature: it is projected, to allow and to deny. */
  | { readonly kind: 'rule'; readonly when: string }
  /** Parts of specs of a route, its backend and its authentication that use the feature: they are projected. */
  | {
      readonly kind: 'route';
      readonly match?: object;
      readonly url?: string;
      readonly authentication?: object;
      /** Of the virtual server. */
      readonly members?: readonly object[];
      readonly conflicts?: string;
      readonly toolSearch?: object;
      /** Of its policy. */
      readonly limits?: object;
      readonly quarantined?: boolean;
      readonly revocations?: readonly object[];
      /** Empty: mcp. */
      readonly protocol?: 'http' | 'grpc' | 'a2a';
      /** More of the spec of the route, and of a backend that is not of MCP. */
      readonly route?: object;
      readonly backend?: object;
    }
  /** What no resource asks for: the projection declares it. */
  | { readonly kind: 'behaviour'; readonly id: BehaviourId };

/** Behaviours of our own proxy that are not a matter of a resource. */
export type BehaviourId =
  | 'call-decisions'
  | 'list-filtering'
  | 'strict-json'
  | 'host-and-origin'
  | 'credential-stripping'
  | 'token-checks'
  | 'session-binding'
  | 'stream-recheck'
  | 'outcome-events'
  | 'json-rpc-errors'
  | 'client-responses'
  | 'hot-swap';
