// What the CLI and tests use of the projections for proxies that are not ours.
export { capabilities } from './capabilities.ts';
export type { Capability, Support } from './capability.ts';
export { envoyBootstrap, type EnvoyBootstrapOptions } from './envoy/bootstrap.ts';
export { checkEnvoy, checkEnvoyGateways } from './envoy/check.ts';
export { envoyFamily } from './envoy/family.ts';
export { defaultEnvoyOptions, type EnvoyOptions } from './envoy/options.ts';
export { projectEnvoy } from './envoy/project.ts';
export { envoyProjection } from './envoy/projection.ts';
