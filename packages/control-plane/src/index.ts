export { type ControlPlaneOptions, type RunningControlPlane, startControlPlane } from './compose.ts';
export type { ConfigurationView, ProjectedResource, Projection } from './projections/projection.ts';
export { type RelayOptions, type RunningRelay, startRelay } from './relay/compose-relay.ts';
export { type RelaySettings, relaySettings } from './relay/settings.ts';
export { newToken } from './store/token-format.ts';
export { type ControlPlaneSettings, controlPlaneSettings } from './settings.ts';
