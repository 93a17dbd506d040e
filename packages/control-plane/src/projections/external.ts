// What the CLI and tests use of the projections for proxies that are not ours.
export { capabilities } from './capabilities.ts';
export type { Capability, Support } from './capability.ts';
export { envoyBootstrap, type EnvoyBootstrapOptions } from './envoy/bootstrap.ts';
export { agentgatewayBootstrap, type AgentgatewayBootstrapOptions } from './agentgateway/bootstrap.ts';
export { agentgatewayFamily } from './agentgateway/family.ts';
export { agentgatewayPlane } from './agentgateway/plane.ts';
export { projectAgentgateway } from './agentgateway/project.ts';
export { agentgatewayProjection } from './agentgateway/projection.ts';
export { envoyFamily } from './envoy/family.ts';
export { planeProblems } from './foreign-plane.ts';
export { defaultEnvoyOptions, type EnvoyOptions } from './envoy/options.ts';
export { envoyPlane } from './envoy/plane.ts';
export { projectEnvoy } from './envoy/project.ts';
export { envoyProjection } from './envoy/projection.ts';
