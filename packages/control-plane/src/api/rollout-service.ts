import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { operatorScope } from '@signalbox/config';
import type {
  AbortRolloutRequest,
  GetRolloutRequest,
  ListRolloutsRequest,
  PauseRolloutRequest,
  PromoteRolloutRequest,
  ResumeRolloutRequest,
  RolloutService,
  WatchRolloutRequest,
} from '@signalbox/proto/signalbox/admin/v1/rollout_service_pb.ts';
import type { Clock } from '@signalbox/runtime';

import type { RolloutDriver, RolloutFleet } from '../rollout/driver.ts';
import { progressOf } from '../rollout/progress.ts';
import { isUnderWay, type Rollout } from '../rollout/rollout.ts';
import { pause, resume } from '../rollout/transition.ts';
import type { RolloutStore } from '../store/rollout-store.ts';
import type { ConfigStore } from '../store/store.ts';
import type { Caller } from './authenticate.ts';
import { callerOf, noSuchScope, requireScope, seesAllTenants } from './authorize.ts';
import { invalidArgument } from './errors.ts';
import { eventMessage, progressMessage, rolloutMessage } from './rollout-message.ts';
import type { StateStreams } from './state-streams.ts';
import type { StreamAccess } from './stream-access.ts';

export interface RolloutServiceParts {
  readonly rollouts: RolloutStore;
  readonly driver: RolloutDriver;
  readonly fleet: RolloutFleet;
  readonly store: Pick<ConfigStore, 'tenant'>;
  readonly streams: Pick<StateStreams, 'stream'>;
  readonly access: Pick<StreamAccess, 'open'>;
  readonly clock: Clock;
  /** How often a stream looks at the database, in milliseconds. */
  readonly pollMs: number;
  /** Characters of a reason. */
  readonly reasonLength: number;
}

const defaultLimit = 50;
const maxLimit = 1_000;
/** Changes that are made at the same time. */
const maxAttempts = 5;

interface Wanted {
  readonly scope: string;
  /** 0: the newest, or the one that is under way. */
  readonly revision: bigint;
}

/** Revisions on their way to nodes, and what people do with them. */
export class RolloutApi implements ServiceImpl<typeof RolloutService> {
  readonly #parts: RolloutServiceParts;

  constructor(parts: RolloutServiceParts) {
    this.#parts = parts;
  }

  async listRollouts({ scope, underWay, limit }: ListRolloutsRequest, context: HandlerContext) {
    const caller = callerOf(context);
    if (limit > maxLimit) throw invalidArgument(`limit is at most ${maxLimit}`);
    const filter = { underWay, limit: limit === 0 ? defaultLimit : limit };
    if (scope !== '') await this.#requireTenant(caller, scope);
    const scopes = scope !== '' ? [scope] : seesAllTenants(caller) ? [operatorScope] : caller.tenants;
    const lists = await Promise.all(
      scopes.map((each) =>
        this.#parts.rollouts.list(each, { ...filter, ...(each === operatorScope ? {} : { tenant: each }) }),
      ),
    );
    const newest = lists.flat().sort((a, b) => b.startedAtMs - a.startedAtMs);
    return { rollouts: newest.slice(0, filter.limit).map(rolloutMessage) };
  }

  async getRollout(request: GetRolloutRequest, context: HandlerContext) {
    await this.#requireTenant(callerOf(context), request.scope);
    using _following = this.#parts.fleet.follow();
    await this.#parts.fleet.refresh();
    return this.#state(request);
  }

  async *watchRollout(request: WatchRolloutRequest, context: HandlerContext) {
    await this.#requireTenant(callerOf(context), request.scope);
    const { clock, pollMs, access, streams, fleet } = this.#parts;
    using open = access.open(context);
    using _following = fleet.follow();
    await fleet.refresh();
    let state = await this.#state(request);
    // That the database does not answer is no news: what was read last is shown on.
    using _polling = clock.interval(pollMs, () => {
      this.#state(request).then(
        (next) => (state = next),
        () => undefined,
      );
    });
    yield* streams.stream({ read: () => state, isLast: ({ isLast }) => isLast }, open.signal);
    open.check();
  }

  promoteRollout(request: PromoteRolloutRequest, context: HandlerContext) {
    const caller = callerOf(context);
    const reason = this.#reason(request.reason);
    return this.#act(caller, request, async (rollout) => {
      if (rollout.plan.requiredBy === 'operator' && !seesAllTenants(caller)) {
        const text = 'the operator requires these stages: only the operator promotes the rollout';
        throw new ConnectError(text, Code.PermissionDenied);
      }
      if (!request.all) await this.#requireFleet(rollout);
      const by = { nowMs: await this.#now(), actor: caller.name, reason };
      return this.#parts.driver.promote(rollout, request.all ? 'all' : 'next', by);
    });
  }

  pauseRollout(request: PauseRolloutRequest, context: HandlerContext) {
    const caller = callerOf(context);
    const reason = this.#reason(request.reason);
    return this.#act(caller, request, async (rollout) =>
      rollout.state === 'paused' ? true : this.#parts.rollouts.change(pause(rollout, caller.name, reason)),
    );
  }

  resumeRollout(request: ResumeRolloutRequest, context: HandlerContext) {
    const caller = callerOf(context);
    const reason = this.#reason(request.reason);
    return this.#act(caller, request, async (rollout) =>
      rollout.state === 'running' ? true : this.#parts.rollouts.change(resume(rollout, caller.name, reason)),
    );
  }

  abortRollout(request: AbortRolloutRequest, context: HandlerContext) {
    const caller = callerOf(context);
    const reason = this.#reason(request.reason) || 'aborted';
    return this.#act(caller, request, async (rollout) => {
      const by = { nowMs: await this.#now(), actor: caller.name };
      return this.#parts.driver.act(rollout, { kind: 'take-back', reason }, by);
    });
  }

  /**
   * Does something with the rollout that is under way. What Signalbox does with it by itself in the same moment is no
   * reason to bother anybody, unless it went to another stage.
   */
  async #act(caller: Caller, wanted: Wanted, change: (rollout: Rollout) => Promise<boolean>) {
    await this.#requireTenant(caller, wanted.scope);
    const first = await this.#underWay(wanted);
    const { scope, revision, stage } = first;
    let rollout = first;
    for (let attempt = 1; !(await change(rollout)); attempt += 1) {
      rollout = await this.#underWay({ scope, revision });
      if (rollout.stage !== stage || attempt === maxAttempts) {
        throw new ConnectError('the rollout has changed meanwhile: look at it, then try again', Code.Aborted);
      }
    }
    const [after] = await this.#parts.rollouts.list(scope, { tenant: scope, revision });
    return { rollout: after && rolloutMessage(after) };
  }

  /** A stage is a share of the nodes: without all of them it would be too small. */
  async #requireFleet(rollout: Rollout): Promise<void> {
    const { fleet } = this.#parts;
    using _following = fleet.follow();
    await fleet.refresh();
    const nodes = fleet.nodes(rollout);
    if ('incomplete' in nodes) throw new ConnectError(`not now: ${nodes.incomplete}`, Code.Unavailable);
  }

  async #now(): Promise<number> {
    return (await this.#parts.rollouts.underWay()).nowMs;
  }

  async #state(wanted: Wanted) {
    const { rollouts, fleet } = this.#parts;
    const rollout = await this.#find(wanted);
    const events = (await rollouts.events(rollout.scope, rollout.revision)).map(eventMessage);
    if (!isUnderWay(rollout)) return { rollout: rolloutMessage(rollout), events, isLast: true };
    const { nowMs } = await rollouts.underWay();
    const nodes = fleet.nodes(rollout);
    const isKnown = !('incomplete' in nodes);
    const progress = progressOf(rollout, isKnown ? nodes : [], nowMs);
    const health = await rollouts.health(rollout);
    const incomplete = isKnown ? '' : nodes.incomplete;
    const shown = progressMessage(rollout, progress, { health, incomplete });
    return { rollout: rolloutMessage(rollout), events, progress: shown, isLast: false };
  }

  async #find({ scope, revision }: Wanted): Promise<Rollout> {
    const filter = { tenant: scope, limit: 1, ...(revision === 0n ? {} : { revision }) };
    const [rollout] = await this.#parts.rollouts.list(scope, filter);
    if (rollout) return rollout;
    const what = revision === 0n ? 'had no rollout yet' : `had no rollout of revision ${revision}`;
    throw new ConnectError(`"${scope}" ${what}`, Code.NotFound);
  }

  /** @throws ConnectError if there is none, or it has ended. */
  async #underWay(wanted: Wanted): Promise<Rollout> {
    const rollout = await this.#find(wanted);
    if (isUnderWay(rollout)) return rollout;
    const text = `no rollout of "${wanted.scope}" is under way: that of revision ${rollout.revision} is ${rollout.state}`;
    throw new ConnectError(text, Code.FailedPrecondition);
  }

  async #requireTenant(caller: Caller, scope: string): Promise<void> {
    if (scope === operatorScope)
      throw invalidArgument('scope must be a tenant: the operator’s revisions have no stages');
    requireScope(caller, scope);
    if (scope === '') throw invalidArgument('scope is required: name the tenant');
    if (!(await this.#parts.store.tenant(scope))) throw noSuchScope(scope);
  }

  #reason(text: string): string {
    const { reasonLength } = this.#parts;
    if (text.length > reasonLength) throw invalidArgument(`reason takes at most ${reasonLength} characters`);
    return text;
  }
}
