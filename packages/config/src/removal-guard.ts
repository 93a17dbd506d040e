import type { Snapshot } from './snapshot.ts';

/** When a new set of a scope loses so much that somebody has to say that it is meant. */
export interface RemovalLimits {
  /** Removals of fewer resources are never doubted. */
  readonly minimum: number;
  /** Share of the scope's resources, in percent, above which a removal is doubted; 100 doubts none. */
  readonly percent: number;
}

export const defaultRemovalLimits: RemovalLimits = Object.freeze({ minimum: 10, percent: 50 });

/** What a set would lose. */
export interface MassRemoval {
  readonly removed: number;
  /** Resources that there were. */
  readonly of: number;
}

/** The removal, if the step from one set to the other is one that needs a confirmation; undefined otherwise. */
export function massRemoval(before: Snapshot, after: Snapshot, limits: RemovalLimits): MassRemoval | undefined {
  const of = before.resources.size;
  let removed = 0;
  for (const key of before.resources.keys()) if (!after.resources.has(key)) removed += 1;
  return isMassRemoval({ removed, of }, limits) ? { removed, of } : undefined;
}

/** Whether removing so many of so many needs a confirmation. */
export function isMassRemoval({ removed, of }: MassRemoval, { minimum, percent }: RemovalLimits): boolean {
  return removed >= minimum && removed * 100 > of * percent;
}
