import type { DataPlane } from '@signalbox/config';
import type { Capability, Verdict } from './capability.ts';
import { features } from './features.ts';
import { foreignPlanes } from './foreign-planes.ts';

/** What each data plane can do, found out by projecting a sample of each feature. */
export function capabilities(): readonly Capability[] {
  return features.map(({ name, probe }) => {
    const foreign = foreignPlanes.map((plane) => [plane.name, plane.probe(probe)] as const);
    const planes = Object.fromEntries([['native', everything], ...foreign]) as Record<DataPlane, Verdict>;
    return { feature: name, planes };
  });
}

/** Our own proxy has everything. */
const everything: Verdict = { support: 'yes', note: '' };
