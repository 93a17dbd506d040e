import type { DataPlane } from '@signalbox/config';
import type { Capability, Probe, Verdict } from './capability.ts';
import { features } from './features.ts';
import { foreignPlanes } from './foreign-planes.ts';
import { trySampleRoute } from './sample-route.ts';

/** What each data plane can do, found out by projecting a sample of each feature. */
export function capabilities(): readonly Capability[] {
  return features.map(({ name, probe }) => {
    const foreign = foreignPlanes.map((plane) => [plane.name, plane.probe(probe)] as const);
    const planes = Object.fromEntries([['native', probeNative(probe)], ...foreign]) as Record<DataPlane, Verdict>;
    return { feature: name, planes };
  });
}

/** Our own proxy has everything that its gateway lets be written. */
function probeNative(probe: Probe): Verdict {
  if (probe.kind !== 'route') return everything;
  const { problems } = trySampleRoute({ ...probe, dataPlanes: ['NATIVE'] });
  const problem = problems.find(({ code }) => code === 'unenforceable');
  return problem
    ? {
        support: 'no',
        note:
          problem.message.split(': ')[0]?.replace(/^the data plane NATIVE of gateway sample /, 'our own proxy ') ?? '',
      }
    : everything;
}

const everything: Verdict = { support: 'yes', note: '' };
