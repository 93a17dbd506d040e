import {
  type AuthorizationRule,
  AuthorizationRule_Effect,
} from '@signalbox/proto/signalbox/config/v1/authorization_pb.ts';
import type { Policy, PolicyTarget, Quarantine } from '@signalbox/proto/signalbox/config/v1/policy_pb.ts';
import type { Rollout } from '@signalbox/proto/signalbox/config/v1/rollout_pb.ts';
import type { ProblemList } from '../problem.ts';
import { checkAuthentication } from './authentication.ts';
import { checkLimits } from './limits.ts';
import { nameFault, textFault } from './name.ts';
import { checkRevocations } from './revocation.ts';
import { checkRollout } from './rollout.ts';

const limits = { rules: 500, reason: 256 };

/**
 * What a Policy must be by itself: a target, credentials of the right form, rules that are complete. Their expressions
 * are checked where they are compiled, in policy/compile-rules.ts.
 */
export function checkPolicy(policy: Policy, found: ProblemList): void {
  checkTarget(policy.target, found);
  if (policy.authentication !== undefined) checkAuthentication(policy.authentication, found);
  const rules = policy.authorization;
  if (found.bounded('spec.authorization', rules, limits.rules)) checkRules(rules, found);
  if (policy.limits !== undefined) checkLimits(policy.limits, found);
  if (policy.quarantine !== undefined) checkQuarantine(policy, policy.quarantine, found);
  checkRevocations(policy.revocations, found);
  if (policy.revocations.length > 0 && policy.target?.kind.case !== 'tenant') {
    found.error('invalid-value', 'spec.revocations', 'goes with the target tenant: {} only');
  }
  if (policy.rollout !== undefined) checkTenantRollout(policy, policy.rollout, found);
  const { authentication, limits: allowances, quarantine, revocations, rollout } = policy;
  if (!authentication && !allowances && !quarantine && !rollout && rules.length + revocations.length === 0) {
    const parts = 'authentication, authorization, limits, quarantine, revocations or rollout';
    found.warn('missing-field', 'spec', `has no effect: add ${parts}`);
  }
}

function checkTarget(target: PolicyTarget | undefined, found: ProblemList): void {
  switch (target?.kind.case) {
    case 'tenant':
      return;
    case 'route':
    case 'virtualServer':
    case 'backend':
      found.require(`spec.target.${target.kind.case}`, target.kind.value, nameFault);
      return;
    case undefined:
      found.error('missing-field', 'spec.target', 'needs a target: tenant: {}, route, virtualServer or backend');
  }
}

/** What is not trusted is a server, wherever it is presented. */
function checkQuarantine({ target }: Policy, { reason }: Quarantine, found: ProblemList): void {
  if (target?.kind.case !== 'backend') {
    found.error('invalid-value', 'spec.quarantine', 'goes with the target backend only');
  }
  if (reason === '')
    found.error('missing-field', 'spec.quarantine.reason', 'is required: it says why, to whoever comes next');
  else found.check('spec.quarantine.reason', textFault(reason, limits.reason));
}

/** Revisions are of the whole tenant, and so is the way in which they reach nodes. */
function checkTenantRollout({ target }: Policy, rollout: Rollout, found: ProblemList): void {
  if (target?.kind.case === 'tenant') return checkRollout(rollout, 'spec.rollout', found);
  found.error(
    'invalid-value',
    'spec.rollout',
    'goes with the target tenant: {} only: a revision is of the whole tenant',
  );
}

function checkRules(rules: readonly AuthorizationRule[], found: ProblemList): void {
  const names = new Set<string>();
  for (const [at, rule] of rules.entries()) {
    const field = `spec.authorization[${at}]`;
    const { name, effect, when } = rule;
    if (name !== '') found.check(`${field}.name`, ruleNameFault(name));
    if (names.has(name)) found.error('duplicate', `${field}.name`, `another rule is already named ${name}`);
    if (name !== '') names.add(name);
    if (effect === AuthorizationRule_Effect.EFFECT_UNSPECIFIED) {
      found.error('missing-field', `${field}.effect`, 'is required: ALLOW or DENY');
    } else if (effect !== AuthorizationRule_Effect.ALLOW && effect !== AuthorizationRule_Effect.DENY) {
      found.error('invalid-value', `${field}.effect`, 'is not an effect that this version knows');
    }
    if (when === '') {
      found.error('missing-field', `${field}.when`, "is required; write 'true' for a rule that always matches");
    }
  }
}

/** A rule without a name is known by its position, so a name must not look like one. */
function ruleNameFault(name: string): string | undefined {
  return /^\d+$/.test(name) ? 'must not be a number' : nameFault(name);
}
