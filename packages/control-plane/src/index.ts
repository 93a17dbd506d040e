export { type ControlPlaneOptions, type RunningControlPlane, startControlPlane } from './compose.ts';
export type { ConfigurationView, ProjectedResource, Projection } from './projections/projection.ts';
export { type ControlPlaneSettings, controlPlaneSettings } from './settings.ts';
