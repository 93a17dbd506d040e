import { kinds, typeUrlOf } from '@signalbox/config';

import {
  ackRequest,
  firstRequest,
  heldVersions,
  readManifest,
  readResource,
  readResponse,
} from './discovery-messages.ts';
import { type Commit, type Deliveries, deliveriesOf, type ManifestArrival } from './deliveries.ts';
import { Http2Call } from './http2-call.ts';

/** Nodes with one credential: they see the same scopes and hold the same. */
export interface GroupPlan {
  readonly token: string;
  readonly nodes: number;
}

/** What connecting took. */
export interface Arrival {
  readonly milliseconds: number;
  /** Streams that were sent away first, and came back. */
  readonly deferred: number;
  /** Responses, their bytes, and the resources in them. */
  readonly responses: number;
  readonly bytes: number;
  readonly resources: number;
}

const types = [...kinds.map((kind) => typeUrlOf(kind)), typeUrlOf('Manifest')];
const manifestType = typeUrlOf('Manifest');
const path = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
/** How long connecting all may take. */
const connectWithinMs = 120_000;
/** How often to look whether all have arrived, in milliseconds. */
const lookMs = 10;
/** How long a node waits that was cut off and not told for how long, in milliseconds. */
const retryMs = { least: 200, spread: 800 };

/** Of the machine, so that processes can compare. */
export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Simulated nodes: they take everything, acknowledge it at once, and note when a Manifest comes. */
export class Fleet {
  readonly #address: { readonly host: string; readonly port: number };
  readonly #groups: readonly Group[];
  readonly #nodes: readonly SimulatedNode[];
  readonly #counts = { deferred: 0, responses: 0, bytes: 0, resources: 0 };
  #arrivals: ManifestArrival[] = [];
  #unconfigured = 0;
  #onConfigured: () => void = () => undefined;
  #onLate: () => void = () => undefined;
  #stopped = false;

  constructor(address: { readonly host: string; readonly port: number }, groups: readonly GroupPlan[]) {
    this.#address = address;
    this.#groups = groups.map(({ token }) => new Group(token));
    this.#nodes = groups.flatMap(({ nodes }, at) =>
      Array.from({ length: nodes }, (_, n) => new SimulatedNode(this, this.#groups[at] as Group, `node-${at}-${n}`)),
    );
    this.#nodes.forEach((node, index) => (node.index = index));
  }

  /** Connects every node at once, with the versions that it holds. Resolves when all of them have everything. */
  async connect(): Promise<Arrival> {
    const startedMs = nowMs();
    const before = { ...this.#counts };
    this.#unconfigured = this.#nodes.length;
    const configured = new Promise<void>((resolve) => (this.#onConfigured = resolve));
    for (const node of this.#nodes) node.dial(this.#address);
    const limit = setTimeout(() => this.#onLate(), connectWithinMs);
    await Promise.race([configured, new Promise<void>((resolve) => (this.#onLate = resolve))]);
    clearTimeout(limit);
    if (this.#unconfigured > 0) {
      throw new Error(`${this.#unconfigured} of ${this.#nodes.length} nodes have no configuration yet`);
    }
    const since = (name: keyof typeof before) => this.#counts[name] - before[name];
    return {
      milliseconds: nowMs() - startedMs,
      deferred: since('deferred'),
      responses: since('responses'),
      bytes: since('bytes'),
      resources: since('resources'),
    };
  }

  /** Cuts every connection. */
  cut(): void {
    for (const node of this.#nodes) node.cut();
  }

  stop(): void {
    this.#stopped = true;
    this.cut();
  }

  /** Forgets what arrived so far. */
  listen(): void {
    this.#arrivals = [];
  }

  /** Resolves when every node has the newest of these commits that it sees, or when it takes too long. */
  async deliveries(commits: readonly Commit[], withinMs: number): Promise<Deliveries> {
    const untilMs = nowMs() + withinMs;
    const newest = newestOf(commits);
    let behind = this.#nodes.flatMap(({ revisions }) =>
      Array.from(newest, ([scope, revision]) => ({ revisions, scope, revision })).filter(({ scope }) =>
        revisions.has(scope),
      ),
    );
    const lags = ({ revisions, scope, revision }: (typeof behind)[number]) => (revisions.get(scope) ?? 0) < revision;
    for (behind = behind.filter(lags); behind.length > 0 && nowMs() < untilMs; behind = behind.filter(lags)) {
      await new Promise((resolve) => setTimeout(resolve, lookMs));
    }
    return deliveriesOf(commits, this.#nodes, this.#arrivals);
  }

  noteResponse(bytes: number, resources: number): void {
    this.#counts.responses += 1;
    this.#counts.bytes += bytes;
    this.#counts.resources += resources;
  }

  noteManifest(node: number, scope: string, revision: number): void {
    this.#arrivals.push({ node, scope, revision, atMs: nowMs() });
  }

  noteConfigured(): void {
    this.#unconfigured -= 1;
    if (this.#unconfigured === 0) this.#onConfigured();
  }

  noteEnd(node: SimulatedNode, pushbackMs: number | undefined): void {
    if (this.#stopped) return;
    if (pushbackMs !== undefined) this.#counts.deferred += 1;
    const delayMs = pushbackMs ?? retryMs.least + Math.random() * retryMs.spread;
    setTimeout(() => {
      if (!this.#stopped) node.dial(this.#address);
    }, delayMs);
  }
}

function newestOf(commits: readonly Commit[]): ReadonlyMap<string, number> {
  const newest = new Map<string, number>();
  for (const { scope, revision } of commits) newest.set(scope, Math.max(revision, newest.get(scope) ?? 0));
  return newest;
}

/** What nodes of one credential hold: all of them the same, so that one of them keeps it for all. */
class Group {
  readonly token: string;
  keeper: SimulatedNode | undefined;
  readonly #held = new Map<string, Map<string, string>>();
  readonly #encoded = new Map<string, Buffer>();

  constructor(token: string) {
    this.token = token;
  }

  put(typeUrl: string, name: string, version: string): void {
    const held = this.#held.get(typeUrl) ?? new Map<string, string>();
    this.#held.set(typeUrl, held.set(name, version));
    this.#encoded.delete(typeUrl);
  }

  encoded(typeUrl: string): Buffer {
    const known = this.#encoded.get(typeUrl) ?? heldVersions(this.#held.get(typeUrl) ?? new Map());
    this.#encoded.set(typeUrl, known);
    return known;
  }
}

class SimulatedNode {
  index = 0;
  /** Newest revisions by scope. */
  readonly revisions = new Map<string, number>();
  readonly #fleet: Fleet;
  readonly #group: Group;
  readonly #id: string;
  #call: Http2Call | undefined;
  #isConfigured = false;

  constructor(fleet: Fleet, group: Group, id: string) {
    this.#fleet = fleet;
    this.#group = group;
    this.#id = id;
    group.keeper ??= this;
  }

  dial({ host, port }: { readonly host: string; readonly port: number }): void {
    this.#isConfigured = false;
    const call = new Http2Call({
      ...{ host, port, path, token: this.#group.token },
      listener: {
        onMessage: (message) => this.#receive(call, message),
        onEnd: (pushbackMs) => {
          if (this.#call === call) this.#fleet.noteEnd(this, pushbackMs);
        },
      },
    });
    this.#call = call;
    types.forEach((typeUrl, at) =>
      call.send(firstRequest(typeUrl, at === 0 ? this.#id : undefined, this.#group.encoded(typeUrl))),
    );
  }

  cut(): void {
    const call = this.#call;
    this.#call = undefined;
    call?.cut();
  }

  #receive(call: Http2Call, message: Buffer): void {
    const { typeUrl, nonce, resources } = readResponse(message);
    call.send(ackRequest(typeUrl, nonce));
    this.#fleet.noteResponse(message.length, resources.length);
    if (typeUrl === manifestType || this.#group.keeper === this) {
      for (const resource of resources) this.#take(typeUrl, resource);
    }
    // It comes when everything before it has been answered.
    if (typeUrl !== manifestType || this.#isConfigured) return;
    this.#isConfigured = true;
    this.#fleet.noteConfigured();
  }

  #take(typeUrl: string, resource: Buffer): void {
    const { name, version, body } = readResource(resource);
    if (this.#group.keeper === this) this.#group.put(typeUrl, name, version);
    if (typeUrl !== manifestType) return;
    const { scope, revision } = readManifest(body);
    this.revisions.set(scope, revision);
    this.#fleet.noteManifest(this.index, scope, revision);
  }
}
