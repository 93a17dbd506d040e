import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type JsonObject } from '@bufbuild/protobuf';
import { ConnectError } from '@connectrpc/connect';
import { controlPlaneSettings, type RunningControlPlane, startControlPlane } from '@signalbox/control-plane';
import type { Propagation } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import type { Node } from '@signalbox/proto/signalbox/admin/v1/node_service_pb.ts';
import { type Problem, ProblemsSchema } from '@signalbox/proto/signalbox/admin/v1/resource_pb.ts';
import { Role } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { type Clock, jsonLogger, type Logger, readSettings } from '@signalbox/runtime';

import { type Admin, adminClient } from './admin.ts';
import { createMigratedDatabase } from './databases.ts';
import { freePort } from './free-port.ts';
import type { ResourceFile } from './resources.ts';
import { nodeListens, startSystemNode, type SystemNode } from './system-node.ts';
import { patienceMs, until } from './until.ts';

export interface StartSystemOptions {
  /** The run's Postgres: `inject('pgUrl')`. The system gets a database of its own. */
  readonly pgUrl: string;
  /** Proxies to start; one unless given. */
  readonly nodes?: number;
  /** `SIGNALBOX_*` variables of every proxy. */
  readonly settings?: Readonly<Record<string, string>>;
  /** `SIGNALBOX_*` variables of the control plane. */
  readonly controlPlane?: Readonly<Record<string, string>>;
  /** The control plane serves TLS with certificates of this authority. */
  readonly ca?: Buffer;
  /** Of the control plane and of every node. Default: the machine's. */
  readonly clock?: Clock;
}

export interface ApplyOptions {
  /** False: return at the commit. Otherwise when every connected node runs it. */
  readonly wait?: boolean;
}

/** A control plane on a database of its own and some proxies, all in this process, over real sockets. */
export interface System {
  /** The admin API as operator. */
  readonly admin: Admin;
  readonly apiUrl: string;
  readonly operatorToken: string;
  readonly databaseUrl: string;
  /** `host:port` of discovery. */
  readonly discoveryAddress: string;
  /** Variables with which a proxy in another process becomes a node of this system. */
  nodeSettings(): Record<string, string>;
  node(index: number): SystemNode;
  /** URL of an MCP endpoint on a node; the first unless told otherwise. */
  endpoint(tenant: string, route: string, node?: number): string;
  /** Commits resources, the operator's first. @returns the new revision of each scope. */
  apply(resources: readonly ResourceFile[], options?: ApplyOptions): Promise<ReadonlyMap<string, bigint>>;
  /** Deletes resources of a scope in one revision. */
  remove(
    scope: string,
    refs: readonly (readonly [kind: string, name: string])[],
    options?: ApplyOptions,
  ): Promise<bigint>;
  /** Applies resources that must be refused. @returns why. @throws when they are accepted. */
  refused(resources: readonly ResourceFile[]): Promise<readonly Problem[]>;
  rollback(scope: string, toRevision: bigint): Promise<bigint>;
  /** Newest revision of a scope. */
  revision(scope: string): Promise<bigint>;
  /** Resolves when every connected node runs the newest revision of every scope. */
  settled(): Promise<void>;
  /** The first propagation report of a revision that says it is done. */
  propagation(scope: string, revision: bigint | undefined): Promise<Propagation>;
  nodes(): Promise<readonly Node[]>;
  /** Another node; with a state folder, one that comes back. */
  startNode(settings?: Readonly<Record<string, string>>, id?: string, stateFolder?: string): Promise<SystemNode>;
  stopControlPlane(): Promise<void>;
  /** Starts it again on the same database and addresses. */
  startControlPlane(): Promise<void>;
  stop(): Promise<void>;
}

export async function startSystem(options: StartSystemOptions): Promise<System> {
  const system = await TestSystem.create(options);
  try {
    await system.startControlPlane();
    for (let i = 0; i < (options.nodes ?? 1); i += 1) await system.startNode();
    return system;
  } catch (error) {
    await system.stop();
    throw error;
  }
}

class TestSystem implements System {
  readonly databaseUrl: string;
  readonly #options: StartSystemOptions;
  readonly #folder: string;
  readonly #logger: Logger;
  readonly #nodes: SystemNode[] = [];
  readonly #scopes = new Set<string>();
  /** One key for all nodes, so that any node serves any session. */
  readonly #sessionKey = randomBytes(32).toString('base64');
  readonly #ports: { readonly api: number; readonly discovery: number };
  #controlPlane: RunningControlPlane | undefined;
  #operator: { readonly token: string; readonly nodeToken: string; readonly admin: Admin } | undefined;

  private constructor(
    options: StartSystemOptions,
    place: { databaseUrl: string; folder: string; ports: { api: number; discovery: number } },
  ) {
    this.#options = options;
    this.databaseUrl = place.databaseUrl;
    this.#folder = place.folder;
    this.#ports = place.ports;
    this.#logger = jsonLogger(process.env['SIGNALBOX_TEST_LOG'] === undefined ? 'silent' : 'debug');
  }

  static async create(options: StartSystemOptions): Promise<TestSystem> {
    const folder = await mkdtemp(join(tmpdir(), 'signalbox-test-'));
    const ports = { api: await freePort(), discovery: await freePort() };
    return new TestSystem(options, { databaseUrl: await createMigratedDatabase(options.pgUrl), folder, ports });
  }

  get admin(): Admin {
    return this.#credentials.admin;
  }

  get apiUrl(): string {
    return `${this.#options.ca ? 'https' : 'http'}://127.0.0.1:${this.#ports.api}`;
  }

  get operatorToken(): string {
    return this.#credentials.token;
  }

  get #credentials() {
    if (!this.#operator) throw new Error('the control plane has not started');
    return this.#operator;
  }

  get discoveryAddress(): string {
    return `127.0.0.1:${this.#ports.discovery}`;
  }

  nodeSettings(): Record<string, string> {
    return {
      SIGNALBOX_PROXY_TOKEN: this.#credentials.nodeToken,
      SIGNALBOX_PROXY_DISCOVERY_ADDRESS: this.discoveryAddress,
      SIGNALBOX_SESSION_KEYS: this.#sessionKey,
    };
  }

  node(index: number): SystemNode {
    const node = this.#nodes[index];
    if (!node) throw new Error(`there is no node ${index}`);
    return node;
  }

  endpoint(tenant: string, route: string, node = 0): string {
    return this.node(node).endpoint(tenant, route);
  }

  async apply(
    resources: readonly ResourceFile[],
    { wait = true }: ApplyOptions = {},
  ): Promise<ReadonlyMap<string, bigint>> {
    const revisions = new Map<string, bigint>();
    for (const [scope, documents] of byScope(resources)) {
      const { revision } = await this.admin.config.apply({ scope, resources: documents, requestId: randomUUID() });
      revisions.set(scope, revision);
      this.#scopes.add(scope);
    }
    if (wait) await this.settled();
    return revisions;
  }

  async remove(
    scope: string,
    refs: readonly (readonly [string, string])[],
    { wait = true }: ApplyOptions = {},
  ): Promise<bigint> {
    const gone = refs.map(([kind, name]) => ({ kind, name }));
    const { revision } = await this.admin.config.apply({ scope, delete: gone, requestId: randomUUID() });
    if (wait) await this.settled();
    return revision;
  }

  async refused(resources: readonly ResourceFile[]): Promise<readonly Problem[]> {
    try {
      await this.apply(resources, { wait: false });
    } catch (error) {
      return ConnectError.from(error)
        .findDetails(ProblemsSchema)
        .flatMap(({ problems }) => problems);
    }
    throw new Error('the resources were accepted');
  }

  async rollback(scope: string, toRevision: bigint): Promise<bigint> {
    const { revision } = await this.admin.config.rollback({ scope, toRevision, requestId: randomUUID() });
    await this.settled();
    return revision;
  }

  async revision(scope: string): Promise<bigint> {
    const { revisions } = await this.admin.config.listRevisions({ scope, limit: 1 });
    return revisions[0]?.revision ?? 0n;
  }

  async settled(): Promise<void> {
    const newest = new Map<string, bigint>();
    for (const scope of this.#scopes) newest.set(scope, await this.revision(scope));
    const running = this.#nodes.filter((node) => !node.stopped());
    await until('every node to run the newest revisions', async () => {
      const connected = (await this.nodes()).filter((node) => node.connected);
      const behind = connected.some(({ scopes }) =>
        [...newest].some(
          ([scope, revision]) => (scopes.find((each) => each.scope === scope)?.appliedRevision ?? 0n) < revision,
        ),
      );
      return behind || connected.length < running.length ? undefined : true;
    });
    if (newest.has('operator')) await Promise.all(running.map((node) => nodeListens(node)));
  }

  async propagation(scope: string, revision: bigint | undefined): Promise<Propagation> {
    const reports = this.admin.config.watchPropagation({ scope, revision: revision ?? 0n }, { timeoutMs: patienceMs });
    for await (const { propagation } of reports) if (propagation?.done) return propagation;
    throw new Error(`the reports about revision ${revision} of ${scope} ended before they were done`);
  }

  async nodes(): Promise<readonly Node[]> {
    return (await this.admin.nodes.listNodes({})).nodes;
  }

  async startNode(
    settings: Readonly<Record<string, string>> = {},
    id = `node-${this.#nodes.length}`,
    stateFolder = join(this.#folder, id),
  ): Promise<SystemNode> {
    const node = await startSystemNode({
      id,
      stateFolder,
      settings: {
        ...this.nodeSettings(),
        ...this.#options.settings,
        ...settings,
      },
      logger: this.#logger,
      clock: this.#options.clock,
    });
    // One that is back takes its own place: nothing of what it was before is kept.
    const before = this.#nodes.findIndex((known) => known.id === id && known.stopped());
    if (before < 0) this.#nodes.push(node);
    else this.#nodes[before] = node;
    if (this.#controlPlane && this.#scopes.has('operator')) await nodeListens(node);
    return node;
  }

  async startControlPlane(): Promise<void> {
    const settings = readSettings(controlPlaneSettings, {
      DATABASE_URL: this.databaseUrl,
      SIGNALBOX_API_LISTEN: `127.0.0.1:${this.#ports.api}`,
      SIGNALBOX_DISCOVERY_LISTEN: `127.0.0.1:${this.#ports.discovery}`,
      ...this.#options.controlPlane,
    });
    const logger = this.#logger.child({ part: 'control-plane' });
    const { clock } = this.#options;
    this.#controlPlane = await startControlPlane({ settings, logger, ...(clock && { clock }) });
    const token = this.#controlPlane.operatorToken?.reveal();
    if (token === undefined) return;
    const admin = adminClient(this.apiUrl, token, this.#options.ca);
    const { secret } = await admin.tokens.createToken({ name: 'nodes', role: Role.NODE, gateway: 'default' });
    this.#operator = { token, nodeToken: secret, admin };
  }

  async stopControlPlane(): Promise<void> {
    await this.#controlPlane?.stop();
    this.#controlPlane = undefined;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.stop()));
    await this.stopControlPlane();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

interface DocumentInit {
  readonly kind: string;
  readonly tenant: string;
  readonly name: string;
  readonly spec: JsonObject;
}

/** The operator's documents first: tenants exist before what they own. */
function byScope(resources: readonly ResourceFile[]): [scope: string, documents: DocumentInit[]][] {
  const scopes = new Map<string, DocumentInit[]>();
  const documents = resources.map((resource) => {
    const { tenant = '', name } = resource['metadata'] as { tenant?: string; name: string };
    return { kind: resource['kind'] as string, tenant, name, spec: resource['spec'] as JsonObject };
  });
  for (const document of documents.toSorted((a, b) => Number(a.tenant !== '') - Number(b.tenant !== ''))) {
    const scope = document.tenant === '' ? 'operator' : document.tenant;
    scopes.set(scope, [...(scopes.get(scope) ?? []), document]);
  }
  return [...scopes];
}
