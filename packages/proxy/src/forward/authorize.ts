import type { A2aSubject, HttpSubject } from '@signalbox/config';
import type { Credential } from '../session/credential.ts';
import { takeLimits } from '../limits/take-limits.ts';
import { forwardRefusals } from './errors.ts';
import type { ForwardCall } from './forward-call.ts';

/** Whether policy allows the request, and limits leave room for it. If not, it has been answered. */
export function isAllowed(call: ForwardCall, subject: HttpSubject | A2aSubject): boolean {
  const { entry } = call.route;
  const credential = call.credential as Credential;
  call.subject = subject;
  const { allowed, rule } = call.decide(entry, credential, subject);
  call.decidedBy = rule;
  call.decision = allowed ? 'allow' : 'deny';
  if (!allowed) {
    call.refuse(forwardRefusals.denied);
    return false;
  }
  if (entry.limits.length === 0) return true;
  const caller = { principal: credential.principal.id, route: entry.name, tool: '' };
  const taken = takeLimits(call.services, entry.limits, caller);
  if (taken.exceeded) call.refuseLimited(taken.exceeded);
  else call.held = taken.held;
  return !taken.exceeded;
}
