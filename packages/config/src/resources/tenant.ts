import type { Tenant } from '@signalbox/proto/signalbox/config/v1/tenant_pb.ts';
import type { ProblemList } from '../problem.ts';
import { quote, textFault } from './name.ts';
import { isBelow, pathFault } from './path.ts';
import { checkRollout } from './rollout.ts';

const limits = { displayName: 200, labels: 64, labelValue: 256, pathPrefixes: 64 };
const labelKey = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/;

/** What a Tenant must be by itself. That no two tenants overlap is checked when the operator's set is compiled. */
export function checkTenant(tenant: Tenant, found: ProblemList): void {
  found.check('spec.displayName', textFault(tenant.displayName, limits.displayName));
  checkLabels(Object.entries(tenant.labels), found);
  if (tenant.rollout !== undefined) checkRollout(tenant.rollout, 'spec.rollout', found);
  const prefixes = tenant.pathPrefixes;
  found.checkEach('spec.pathPrefixes', prefixes, limits.pathPrefixes, pathFault);
  if (found.refused) return;
  for (const [at, prefix] of prefixes.entries()) {
    const field = `spec.pathPrefixes[${at}]`;
    const other = prefixes.slice(0, at).find((earlier) => isBelow(prefix, earlier) || isBelow(earlier, prefix));
    if (other !== undefined) found.error('duplicate', field, `${quote(prefix)} overlaps ${quote(other)} of this list`);
  }
}

function checkLabels(labels: readonly (readonly [string, string])[], found: ProblemList): void {
  if (!found.bounded('spec.labels', labels, limits.labels)) return;
  for (const [key, value] of labels) {
    const field = `spec.labels[${JSON.stringify(key)}]`;
    if (!labelKey.test(key)) {
      found.error(
        'invalid-value',
        field,
        "is not a label key: use 1 to 63 letters, digits, '-', '_', '.' and '/', with a letter or digit at both ends",
      );
    }
    found.check(field, textFault(value, limits.labelValue));
  }
}
