import type { Collection, StagedCollection, StreamInfo } from '@signalbox/xds';

import { type Candidate, isMember, type Members } from '../rollout/members.ts';
import type { ScopeState } from './scope-state.ts';

/** A scope of which some nodes get the newest revision and the others an older one. Immutable. */
export class ScopeStages implements StagedCollection {
  readonly members: Members;
  /** What the others get. */
  readonly base: ScopeState;
  readonly #newest: ScopeState;
  readonly #includes = new WeakMap<StreamInfo, boolean>();

  constructor(newest: ScopeState, base: ScopeState, members: Members) {
    this.#newest = newest;
    this.base = base;
    this.members = members;
  }

  /** Whether a stream gets the newest revision. */
  includes(stream: StreamInfo): boolean {
    let isIncluded = this.#includes.get(stream);
    if (isIncluded === undefined) {
      isIncluded = isMember(this.members, { id: stream.node.id, groups: stream.identity.groups ?? [] });
      this.#includes.set(stream, isIncluded);
    }
    return isIncluded;
  }

  /** Revision that a node is to have, on whichever replica it is. */
  revisionFor(node: Candidate): bigint {
    return (isMember(this.members, node) ? this.#newest : this.base).snapshot.revision;
  }

  stateFor(stream: StreamInfo): Collection {
    return (this.includes(stream) ? this.#newest : this.base).collection;
  }
}
