import type { HostPort } from '@signalbox/runtime';
import { Failure } from '../failure.ts';

/** Settings that decide which parts run and where they listen. */
export interface PlanInput {
  readonly demo: boolean;
  /** A database server is given: none is started. */
  readonly externalDatabase: boolean;
  readonly api: HostPort;
  readonly discovery: HostPort;
  readonly proxyAdmin: HostPort;
  /** Where agents connect. */
  readonly gateway: HostPort;
  readonly everythingPort: number;
  readonly railwayPort: number;
}

const partNames = ['database', 'everything', 'railway', 'control plane', 'proxy', 'configuration'] as const;
type PartName = (typeof partNames)[number];

/** A port that a part opens. */
export interface PlannedPort {
  readonly part: PartName;
  /** What it is for. */
  readonly purpose: string;
  readonly host: string;
  /** 0: the system chooses. */
  readonly port: number;
  /** How to choose another one. */
  readonly setting: string;
}

export interface Plan {
  /** In order of start; stopped in reverse. */
  readonly parts: readonly PartName[];
  readonly ports: readonly PlannedPort[];
}

/** Which parts `up` starts and which ports they open. @throws Failure if two of them want the same port. */
export function planStack(input: PlanInput): Plan {
  const skipped: ReadonlySet<PartName> = new Set([
    ...(input.externalDatabase ? (['database'] as const) : []),
    ...(input.demo ? [] : (['everything', 'railway', 'configuration'] as const)),
  ]);
  const parts = partNames.filter((name) => !skipped.has(name));
  const ports = allPorts(input).filter(({ part }) => !skipped.has(part));
  refuseSharedPorts(ports);
  return { parts, ports };
}

function allPorts(input: PlanInput): readonly PlannedPort[] {
  const loopback = (port: number) => ({ host: '127.0.0.1', port });
  return [
    { part: 'proxy', purpose: 'agents', ...input.gateway, setting: '--port' },
    { part: 'control plane', purpose: 'the API', ...input.api, setting: 'SIGNALBOX_API_LISTEN' },
    { part: 'control plane', purpose: 'discovery', ...input.discovery, setting: 'SIGNALBOX_DISCOVERY_LISTEN' },
    { part: 'proxy', purpose: 'health and metrics', ...input.proxyAdmin, setting: 'SIGNALBOX_PROXY_ADMIN_LISTEN' },
    {
      part: 'everything',
      purpose: 'a demo server',
      ...loopback(input.everythingPort),
      setting: 'SIGNALBOX_DEMO_EVERYTHING_PORT',
    },
    {
      part: 'railway',
      purpose: 'a demo server',
      ...loopback(input.railwayPort),
      setting: 'SIGNALBOX_DEMO_RAILWAY_PORT',
    },
  ];
}

function refuseSharedPorts(ports: readonly PlannedPort[]): void {
  for (const [index, one] of ports.entries()) {
    const other = ports.slice(0, index).find((earlier) => earlier.port === one.port && one.port !== 0);
    if (!other) continue;
    throw new Failure(
      `port ${one.port} is wanted twice, for ${other.purpose} (${other.setting}) and for ${one.purpose} (${one.setting}): ` +
        'change one of them',
      2,
    );
  }
}

/** What to say when a planned port is taken. */
export function busyPort({ host, port, purpose, setting }: PlannedPort): string {
  return `port ${port} on ${host}, for ${purpose}, is in use: stop what uses it, or choose another one with ${setting}`;
}
