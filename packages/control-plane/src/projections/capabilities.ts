import type { Capability, Verdict } from './capability.ts';
import { probeEnvoy } from './envoy/capability.ts';
import { features } from './features.ts';

/** What each data plane can do, found out by projecting a sample of each feature. */
export function capabilities(): readonly Capability[] {
  return features.map(({ name, probe }) => ({
    feature: name,
    planes: { native: everything, envoy: probeEnvoy(probe) },
  }));
}

const everything: Verdict = { support: 'yes', note: '' };
