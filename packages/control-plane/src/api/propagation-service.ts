import type { HandlerContext } from '@connectrpc/connect';
import type {
  GetPropagationRequest,
  WatchPropagationRequest,
} from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';

import type { Fleet } from '../discovery/fleet.ts';
import { propagationOf, type WatchedRevision } from '../discovery/propagation.ts';
import { isOutage } from '../store/outage.ts';
import type { ConfigStore } from '../store/store.ts';
import { callerOf, noSuchScope, requireScope, seesAllTenants } from './authorize.ts';
import { noSuchRevision } from './errors.ts';
import { type PropagationMessage, propagationMessage } from './propagation-message.ts';
import type { StateStreams, StreamedState } from './state-streams.ts';
import type { StreamAccess } from './stream-access.ts';

export interface PropagationApiParts {
  readonly store: Pick<ConfigStore, 'revisions'>;
  readonly fleet: Fleet;
  readonly streams: StateStreams;
  readonly access: StreamAccess;
  /** The newest revision that this replica knows of a scope: for when the database does not answer. */
  readonly published: (scope: string) => WatchedRevision | undefined;
  /** How long a node that left may take to come back, in milliseconds. */
  readonly returnMs: number;
}

const defaultNodes = 1_000;

/** Who runs a revision: the part of the configuration service that is about nodes. */
export class PropagationApi {
  readonly #parts: PropagationApiParts;

  constructor(parts: PropagationApiParts) {
    this.#parts = parts;
  }

  async getPropagation(request: GetPropagationRequest, context: HandlerContext) {
    return { propagation: await this.#parts.streams.once(await this.#state(request, context)) };
  }

  async *watchPropagation(request: WatchPropagationRequest, context: HandlerContext) {
    const state = await this.#state(request, context);
    using access = this.#parts.access.open(context);
    for await (const propagation of this.#parts.streams.stream(state, access.signal)) yield { propagation };
    access.check();
  }

  async #state(
    { scope, revision, maxNodes }: GetPropagationRequest | WatchPropagationRequest,
    context: HandlerContext,
  ): Promise<StreamedState<PropagationMessage>> {
    const caller = callerOf(context);
    requireScope(caller, scope);
    const { fleet, returnMs } = this.#parts;
    const watched = await this.#watched(scope, revision);
    const shown = { maxNodes: maxNodes === 0 ? defaultNodes : maxNodes, namesReplicas: seesAllTenants(caller) };
    const read = () =>
      propagationMessage(propagationOf(watched, fleet.state(), returnMs), fleet.latency(watched), shown);
    return { scope, read, isLast: ({ done }) => done };
  }

  async #watched(scope: string, revision: bigint): Promise<WatchedRevision> {
    const page = { limit: 1, before: revision === 0n ? undefined : revision + 1n };
    const revisions = await this.#parts.store.revisions(scope, page).catch((error: unknown) => {
      const known = this.#parts.published(scope);
      if (!isOutage(error) || !known || (revision !== 0n && known.revision !== revision)) throw error;
      return [{ revision: known.revision, at: new Date(known.committedAtMs) }];
    });
    if (!revisions) throw noSuchScope(scope);
    const [found] = revisions;
    if (!found && revision === 0n) return { scope, revision: 0n, committedAtMs: 0 };
    if (!found || (revision !== 0n && found.revision !== revision)) throw noSuchRevision(scope, revision);
    return { scope, revision: found.revision, committedAtMs: found.at.getTime() };
  }
}
