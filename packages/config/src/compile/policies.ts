import type { PolicyTarget } from '@signalbox/proto/signalbox/config/v1/policy_pb.ts';
import { digestOf } from '../digest.ts';
import type { AuthenticationTable } from '../policy/authentication.ts';
import type { AuthorizationTable, CompiledRule } from '../policy/authorization.ts';
import { compileAuthentication, nobody } from '../policy/compile-authentication.ts';
import {
  compileRulesSteps,
  type ExpressionMemo,
  makeAuthorizationTable,
  quarantineRule,
} from '../policy/compile-rules.ts';
import { compileBounds, compileLimits, tightest } from '../policy/compile-limits.ts';
import { compileRevocation, type RevocationEntry, withRevocations } from '../policy/revocations.ts';
import { type CallBounds, type LimitEntry, noBounds } from '../policy/limits.ts';
import { type Problem, ProblemList } from '../problem.ts';
import { stepSize } from '../steps.ts';
import type { Source } from './source.ts';

/** One policy, compiled. */
export interface CompiledPolicy {
  readonly name: string;
  readonly digest: string;
  readonly target: PolicyTarget['kind'];
  /** Undefined when the policy says nothing about it. */
  readonly authentication: AuthenticationTable | undefined;
  readonly rules: readonly CompiledRule[];
  /** Undefined when any number of calls may come. */
  readonly limits: LimitEntry | undefined;
  readonly bounds: CallBounds;
  readonly revocations: readonly RevocationEntry[];
  /** Denies everything of the backend that the policy is on; undefined: none. */
  readonly quarantine: CompiledRule | undefined;
  readonly problems: readonly Problem[];
}

/** Compiles all policies; one with the same content in `previous` is taken from there. Adds the problems of all. */
export function* compilePoliciesSteps(
  sources: ReadonlyMap<string, Source<'Policy'>>,
  previous: ReadonlyMap<string, CompiledPolicy> | undefined,
  scope: string,
  problems: Problem[],
): Generator<void, ReadonlyMap<string, CompiledPolicy>> {
  const policies = new Map<string, CompiledPolicy>();
  const memo: ExpressionMemo = new Map();
  for (const source of sources.values()) {
    const same = previous?.get(source.name);
    const policy = same?.digest === source.digest ? same : yield* compilePolicySteps(source, scope, memo);
    policies.set(source.name, policy);
    problems.push(...policy.problems);
    if (policies.size % stepSize === 0) yield;
  }
  return policies;
}

function* compilePolicySteps(
  { name, digest, message }: Source<'Policy'>,
  scope: string,
  memo: ExpressionMemo,
): Generator<void, CompiledPolicy> {
  const found = new ProblemList({ kind: 'Policy', scope, name });
  const rules = yield* compileRulesSteps(name, message, found, memo);
  return {
    name,
    digest,
    target: message.target?.kind ?? { case: undefined },
    authentication: message.authentication && compileAuthentication(name, message.authentication),
    rules,
    limits: message.limits && compileLimits(scope, name, message.limits),
    bounds: message.limits ? compileBounds(name, message.limits) : noBounds,
    revocations: message.revocations.map(compileRevocation),
    quarantine: message.quarantine && quarantineRule(name),
    problems: found.problems,
  };
}

/** The policies that apply to one route, and what follows from them. */
export interface AppliedPolicies {
  /** Names and contents: equal keys mean equal policies. */
  readonly key: string;
  /** Hash of what follows from them: equal ones may come from different policies. */
  readonly digest: string;
  readonly authentication: AuthenticationTable;
  readonly authorization: AuthorizationTable;
  readonly limits: readonly LimitEntry[];
  readonly bounds: CallBounds;
}

/** What a route leads to: the names that policies can target. */
export interface PolicyTargets {
  readonly route: string;
  /** Undefined for a route that leads to no virtual server. */
  readonly virtualServer: string | undefined;
  /** Undefined for a federation: its backends' policies apply to members one by one. */
  readonly backend: string | undefined;
}

interface Group {
  readonly policies: CompiledPolicy[];
  key: string;
}

const noPolicies: Readonly<Group> = Object.freeze({ policies: [], key: '' });

/** Policies by target. Routes under the same policies share one result. */
export class PolicyTree {
  readonly #tenant: Group = { policies: [], key: '' };
  readonly #route = new Map<string, Group>();
  readonly #virtualServer = new Map<string, Group>();
  readonly #backend = new Map<string, Group>();
  /** What was applied to routes so far, by key. */
  readonly applied = new Map<string, AppliedPolicies>();
  readonly #known: ReadonlyMap<string, AppliedPolicies>;

  /** `policies` in the order of their names. What is `known` from an earlier tree is shared. */
  constructor(policies: Iterable<CompiledPolicy>, known: ReadonlyMap<string, AppliedPolicies> = new Map()) {
    for (const policy of policies) this.#add(policy);
    this.#known = known;
  }

  /** Two policies with authentication on one target contradict each other. */
  conflicts(scope: string): Problem[] {
    const groups = [this.#tenant, ...this.#route.values(), ...this.#virtualServer.values(), ...this.#backend.values()];
    return groups.flatMap(({ policies }) => {
      const [first, ...others] = policies.filter((policy) => policy.authentication !== undefined);
      return others.map(({ name }) => {
        const found = new ProblemList({ kind: 'Policy', scope, name });
        const message = `policy ${first?.name} already has authentication for the same target; merge them`;
        found.error('conflict', 'spec.authentication', message);
        return found.problems[0] as Problem;
      });
    });
  }

  /** Rules of the policies on a backend alone: for members of a federation, where they see the backend's own names. */
  ofBackend(name: string): AppliedPolicies {
    const group = this.#backend.get(name);
    const key = `backend ${group?.key ?? ''}`;
    const known = this.applied.get(key) ?? this.#known.get(key);
    const applied = known ?? merge(key, group?.policies ?? []);
    this.applied.set(key, applied);
    return applied;
  }

  /** Narrowest authentication, and all rules from the broadest target to the narrowest. */
  applyTo({ route, virtualServer, backend }: PolicyTargets): AppliedPolicies {
    const ofRoute = this.#route.get(route) ?? noPolicies;
    const ofServer = (virtualServer === undefined ? undefined : this.#virtualServer.get(virtualServer)) ?? noPolicies;
    const ofBackend = (backend === undefined ? undefined : this.#backend.get(backend)) ?? noPolicies;
    const key = this.#tenant.key + ofRoute.key + ofServer.key + ofBackend.key;
    let applied = this.applied.get(key);
    if (applied === undefined) {
      const groups = [this.#tenant, ofRoute, ofServer, ofBackend];
      const policies = groups.flatMap((group) => group.policies);
      applied = this.#known.get(key) ?? merge(key, policies);
      this.applied.set(key, applied);
    }
    return applied;
  }

  #add(policy: CompiledPolicy): void {
    const group = this.#groupOf(policy.target);
    group.policies.push(policy);
    group.key += `${policy.name} ${policy.digest}\n`;
  }

  #groupOf(target: PolicyTarget['kind']): Group {
    switch (target.case) {
      case 'route':
        return groupIn(this.#route, target.value);
      case 'virtualServer':
        return groupIn(this.#virtualServer, target.value);
      case 'backend':
        return groupIn(this.#backend, target.value);
      case 'tenant':
      case undefined:
        return this.#tenant;
    }
  }
}

function groupIn(groups: Map<string, Group>, name: string): Group {
  let group = groups.get(name);
  if (group === undefined) {
    group = { policies: [], key: '' };
    groups.set(name, group);
  }
  return group;
}

/** `policies` from the broadest target to the narrowest. */
function merge(key: string, policies: readonly CompiledPolicy[]): AppliedPolicies {
  const given = policies.findLast((policy) => policy.authentication !== undefined)?.authentication ?? nobody;
  const revocations = policies.flatMap((policy) => policy.revocations);
  const authentication = withRevocations(given, revocations);
  const quarantine = policies.find((policy) => policy.quarantine !== undefined)?.quarantine;
  const rules = policies.flatMap((policy) => policy.rules);
  const authorization = makeAuthorizationTable(rules, quarantine);
  const limits = Object.freeze(policies.flatMap((policy) => policy.limits ?? []));
  const bounds = tightest(policies.map((policy) => policy.bounds));
  const content = [authentication.source, authentication.digest, authorization.digest, limits, bounds];
  const digest = digestOf(JSON.stringify(content));
  return Object.freeze({ key, digest, authentication, authorization, limits, bounds });
}
