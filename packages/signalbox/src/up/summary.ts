import { join, relative } from 'node:path';
import type { Cli } from '../cli.ts';
import type { Style } from '../output/style.ts';
import type { Everything } from './compose.ts';
import type { Resolved } from './resolve.ts';

/** What `up` tells when all runs. */
export interface Summary {
  readonly endpoints: Readonly<Record<string, string>>;
  readonly api: string;
  readonly proxyAdmin: string;
  readonly dataDir: string;
  readonly log: string;
  /** Configuration of an MCP client, with the demo's API key. */
  readonly mcpClient: unknown;
  readonly commands: readonly string[];
  /** Scopes of the demo that people have changed, and that were left alone. */
  readonly kept: readonly string[];
  readonly pid: number;
}

export function summarise(cli: Cli, resolved: Resolved, everything: Everything): Summary {
  const base = everything.gatewayUrls[0];
  const demo = everything.demo !== undefined && base !== undefined;
  const endpoints: Record<string, string> = demo
    ? { everything: `${base}/demo/everything/mcp`, railway: `${base}/demo/railway/mcp` }
    : {};
  return {
    endpoints,
    api: everything.apiUrl,
    proxyAdmin: everything.proxyAdminUrl,
    dataDir: resolved.dataDir,
    log: join(resolved.dataDir, 'up.log'),
    mcpClient: mcpClientConfiguration(endpoints, everything.cliFile.key?.reveal()),
    commands: commands(cli, resolved, demo),
    kept: everything.demo?.kept ?? [],
    pid: process.pid,
  };
}

function mcpClientConfiguration(endpoints: Readonly<Record<string, string>>, key: string | undefined): unknown {
  const servers = Object.entries(endpoints).map(([name, url]) => {
    return [name, { type: 'http', url, ...(key ? { headers: { Authorization: `Bearer ${key}` } } : {}) }];
  });
  return { mcpServers: Object.fromEntries(servers) };
}

/** Three command lines that work as they stand, from the folder in which `up` was called. */
function commands(cli: Cli, resolved: Resolved, demo: boolean): readonly string[] {
  const path = relative(cli.cwd, join(cli.root, 'signalbox'));
  const program = quoted(path.includes('/') ? path : `./${path}`);
  const usual = resolved.dataDir === join(cli.root, '.signalbox');
  const call = usual ? program : `SIGNALBOX_DATA_DIR=${quoted(resolved.dataDir)} ${program}`;
  if (!demo) return [`${call} nodes`, `${call} get -A`, `${call} token list`];
  return [
    `${call} tools --route demo/railway`,
    `${call} explain --route demo/railway --tool cancel_train --subject demo`,
    `${call} nodes`,
  ];
}

function quoted(text: string): string {
  return /^[\w./@:+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** For people. */
export function renderSummary(summary: Summary, style: Style): string {
  const endpoints = Object.values(summary.endpoints);
  const rows = [
    ...endpoints.map((url, index) => [index === 0 ? 'MCP endpoints' : '', url]),
    ['Control plane', summary.api],
    ['Proxy admin', `${summary.proxyAdmin}/readyz`],
    ['State', summary.dataDir],
    ['Log', summary.log],
  ];
  const kept = summary.kept.map((scope) => {
    return style.doubtful(`The demo's files differ from ${scope}, which was changed since: yours is kept.`);
  });
  return [
    '',
    style.good(style.strong('Signalbox is running.')) + ' Ctrl-C stops it.',
    '',
    ...rows.map(([name = '', value = '']) => `  ${style.dim(name.padEnd(13))}  ${value}`),
    '',
    ...(kept.length > 0 ? [...kept, ''] : []),
    ...(endpoints.length > 0
      ? ['Configuration for an MCP client:', '', JSON.stringify(summary.mcpClient, undefined, 2), '']
      : []),
    'Try, in another terminal:',
    '',
    ...summary.commands.map((command) => `  ${style.strong(command)}`),
    '',
    '',
  ].join('\n');
}
