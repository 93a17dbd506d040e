import { parseArgs } from 'node:util';

/** What one run measures, and how much of it. */
export interface FleetOptions {
  /** Sizes of the fleet, one run each; none: not measured. */
  readonly nodes: readonly number[];
  readonly tenants: number;
  /** Nodes that see one tenant. */
  readonly nodesPerTenant: number;
  readonly resourcesPerTenant: number;
  /** Changes of one tenant. */
  readonly scopedPerSecond: number;
  readonly scopedSeconds: number;
  /** Changes that every node gets. */
  readonly everyonePerSecond: number;
  readonly everyoneSeconds: number;
  /** Resources that a replica reads before it serves; 0: not measured. */
  readonly coldStartResources: number;
  readonly writers: number;
  /** 0: not measured. */
  readonly commitSeconds: number;
  /** Folder for a CPU profile of the control plane. */
  readonly cpuProfile: string | undefined;
  /** The whole run ends then, whatever it is at. */
  readonly maxSeconds: number;
  readonly writeResults: boolean;
}

const full = {
  ...{ nodes: '1000,5000,10000', tenants: '10000', 'nodes-per-tenant': '10', resources: '2' },
  ...{ 'scoped-rate': '100', 'scoped-seconds': '30', 'everyone-rate': '5', 'everyone-seconds': '20' },
  ...{ 'cold-start-resources': '200000', writers: '16', 'commit-seconds': '15', 'max-seconds': '900' },
};

const small = {
  ...full,
  ...{ nodes: '200', tenants: '500', 'scoped-rate': '20', 'scoped-seconds': '5', 'everyone-seconds': '4' },
  ...{ 'cold-start-resources': '20000', 'commit-seconds': '3', 'max-seconds': '120' },
};

export const usage = `npm run bench:fleet -- [--small] [--no-results] [--cpu-prof <folder>] [options]

${Object.entries(full)
  .map(([name, value]) => `  --${name.padEnd(22)} ${value} (--small: ${small[name as keyof typeof small]})`)
  .join('\n')}
`;

/** @throws Error when an option is unknown or no number. */
export function readOptions(args: readonly string[]): FleetOptions | 'help' {
  const numbers = Object.fromEntries(Object.keys(full).map((name) => [name, { type: 'string' as const }]));
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...numbers,
      small: { type: 'boolean' },
      help: { type: 'boolean' },
      'no-results': { type: 'boolean' },
      'cpu-prof': { type: 'string' },
    },
  });
  if (values.help === true) return 'help';
  const texts: Record<string, string | boolean | undefined> = { ...(values.small === true ? small : full), ...values };
  const number = (name: string) => positive(name, String(texts[name] ?? ''));
  return {
    nodes: String(texts['nodes'])
      .split(',')
      .map((each) => positive('nodes', each))
      .filter((size) => size > 0),
    tenants: number('tenants'),
    nodesPerTenant: number('nodes-per-tenant'),
    resourcesPerTenant: number('resources'),
    scopedPerSecond: number('scoped-rate'),
    scopedSeconds: number('scoped-seconds'),
    everyonePerSecond: number('everyone-rate'),
    everyoneSeconds: number('everyone-seconds'),
    coldStartResources: number('cold-start-resources'),
    writers: number('writers'),
    commitSeconds: number('commit-seconds'),
    cpuProfile: values['cpu-prof'],
    maxSeconds: number('max-seconds'),
    writeResults: values['no-results'] !== true && values.small !== true,
  };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (text === '' || !Number.isFinite(value) || value < 0) throw new Error(`--${name} has to be a number: ${text}`);
  return value;
}
