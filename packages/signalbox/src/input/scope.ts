import { isKind, type Kind, kinds, operatorScope, scopeOfKind } from '@signalbox/config/kind';
import type { Target } from '../client/target.ts';
import { usage } from '../failure.ts';

/** The kind that a word on the command line means, in any case, singular or plural: `routes`, `VirtualServer`. */
export function kindNamed(word: string): Kind {
  const singular = word.toLowerCase().replace(/ies$/, 'y').replace(/s$/, '');
  const kind = kinds.find((candidate) => candidate.toLowerCase() === singular);
  if (!kind || !isKind(kind)) throw usage(`there is no kind "${word}"; kinds are ${kinds.join(', ')}`);
  return kind;
}

/** The scope that a command means: the kind's own, the tenant named, or the one that `up` works with. */
export function scopeNamed(target: Target, tenant: string | undefined, kind?: Kind): string {
  if (kind && scopeOfKind(kind) === 'operator') return operatorScope;
  const scope = tenant ?? target.file?.tenant ?? '';
  if (scope === '') throw usage('no tenant named: add --tenant NAME (or --tenant operator for gateways and tenants)');
  return scope;
}
