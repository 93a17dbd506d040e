export { type ControlPlaneOptions, type RunningControlPlane, startControlPlane } from './compose.ts';
export { type ControlPlaneSettings, controlPlaneSettings } from './settings.ts';
