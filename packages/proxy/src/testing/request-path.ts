import { createHash } from 'node:crypto';
import { create, type JsonValue, type MessageInitShape } from '@bufbuild/protobuf';
import type { OutcomeEvent } from '@signalbox/audit';
import {
  assembleRoutingTable,
  compileOperator,
  compileTenant,
  decodeDocument,
  encodeResource,
  makeSnapshot,
  operatorScope,
  type RoutingTable,
} from '@signalbox/config';
import { AuthorizationRule_Effect } from '@signalbox/proto/signalbox/config/v1/authorization_pb.ts';
import { BackendSchema } from '@signalbox/proto/signalbox/config/v1/backend_pb.ts';
import { GatewaySchema } from '@signalbox/proto/signalbox/config/v1/gateway_pb.ts';
import { PolicySchema } from '@signalbox/proto/signalbox/config/v1/policy_pb.ts';
import { RouteSchema } from '@signalbox/proto/signalbox/config/v1/route_pb.ts';
import { TenantSchema } from '@signalbox/proto/signalbox/config/v1/tenant_pb.ts';
import { VirtualServerSchema } from '@signalbox/proto/signalbox/config/v1/virtual_server_pb.ts';
import { Metrics } from '@signalbox/runtime';
import { ManualClock, MemoryLogger, SeededRandom } from '@signalbox/runtime/testing';
import { TenantDemand, type TenantDemandLimits } from '../discovery/tenant-demand.ts';
import { defaultRequestLimits, type RequestLimits } from '../mcp/request-limits.ts';
import { MemoryHub, MemoryState } from '../nodes/memory-state.ts';
import { createRequestHandler } from '../phases/phases.ts';
import { randomSessionKeys, type SessionKeys } from '../session/session-keys.ts';
import type { Exchange } from '../http/exchange.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { CurrentTable } from '../table/current-table.ts';
import { OpenStreamsRegistry } from '../table/open-streams-registry.ts';
import { FakeExchange, type FakeRequest } from './fake-exchange.ts';
import { FakeUpstream, type FakeUpstreamCall } from './fake-upstream.ts';

/** One route, `/acme/assistant/mcp`, to one backend. */
export interface TableOptions {
  readonly revision?: number;
  /** Subjects by API key. */
  readonly apiKeys?: Readonly<Record<string, string>>;
  readonly jwt?: { readonly issuer: string; readonly jwks: { uri: string } | { inline: string } };
  readonly anonymous?: boolean;
  /** CEL of the rules that allow, after those that deny. */
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
  readonly backendUrl?: string;
  readonly routes?: readonly string[];
  /** The operator's set names the tenant, whose own set is not here. */
  readonly withoutTenant?: boolean;
  /** Spec of a virtual server of several members: backends `tools` and `more`, the second one at port 3002. */
  readonly federated?: MessageInitShape<typeof VirtualServerSchema>;
  /** More of the tenant's resources: kind, name and spec. */
  readonly more?: readonly (readonly [kind: string, name: string, spec: object])[];
}

/** Everything but the tool `hidden`. */
const usualRules = ['tool.name != "hidden"', 'prompt.name != "hidden"', 'resource.uri.startsWith("test://")'];

export const audience = 'signalbox';

const moreUrl = 'http://127.0.0.1:3002/mcp';

export function tableOf(options: TableOptions = {}): RoutingTable {
  const operator = makeSnapshot(operatorScope, 1n, [
    encodeResource('Gateway', 'default', create(GatewaySchema, { listeners: [{ name: 'http', port: 8080 }] })),
    encodeResource('Tenant', 'acme', create(TenantSchema, {})),
  ]);
  const { revision = 1, backendUrl = 'http://127.0.0.1:3001/mcp', routes = ['assistant'] } = options;
  const { federated = { members: [{ backend: 'tools' }] } } = options;
  const tenant = makeSnapshot('acme', BigInt(revision), [
    encodeResource('Backend', 'tools', create(BackendSchema, { kind: { case: 'mcp', value: { url: backendUrl } } })),
    encodeResource('Backend', 'more', create(BackendSchema, { kind: { case: 'mcp', value: { url: moreUrl } } })),
    encodeResource('VirtualServer', 'assistant', create(VirtualServerSchema, federated)),
    encodeResource('Policy', 'access', policyOf(options)),
    ...routes.map((name) => encodeResource('Route', name, routeOf(name))),
    ...(options.more ?? []).map(storedOf),
  ]);
  const compiledOperator = compileOperator(operator);
  const operatorTable = compiledOperator.table;
  const compiled = operatorTable && compileTenant(tenant, operatorTable);
  if (!operatorTable || !compiled?.table)
    throw new Error(JSON.stringify([compiledOperator.problems, compiled?.problems]));
  return assembleRoutingTable({ operator: operatorTable, tenants: options.withoutTenant ? [] : [compiled.table] });
}

function storedOf([kind, name, spec]: readonly [kind: string, name: string, spec: object]) {
  const json = JSON.parse(JSON.stringify(spec)) as JsonValue;
  const { resource, problems } = decodeDocument({ kind, tenant: 'acme', name, spec: json });
  if (!resource) throw new Error(JSON.stringify(problems));
  return resource.stored;
}

function routeOf(name: string) {
  return create(RouteSchema, {
    gateway: 'default',
    match: { path: `/acme/${name}` },
    destination: { case: 'mcp', value: { virtualServer: 'assistant' } },
  });
}

function policyOf(options: TableOptions) {
  const { apiKeys = { 'alice-key': 'alice', 'bob-key': 'bob' }, allow = usualRules, deny = [], jwt } = options;
  const rules = [
    ...deny.map((when, i) => ({ name: `deny-${i}`, effect: AuthorizationRule_Effect.DENY, when })),
    ...allow.map((when, i) => ({ name: `allow-${i}`, effect: AuthorizationRule_Effect.ALLOW, when })),
  ];
  const provider = jwt && {
    issuer: jwt.issuer,
    audiences: [audience],
    jwks: {
      source:
        'uri' in jwt.jwks
          ? { case: 'uri' as const, value: jwt.jwks.uri }
          : { case: 'inline' as const, value: jwt.jwks.inline },
    },
  };
  return create(PolicySchema, {
    target: { kind: { case: 'tenant' as const, value: {} } },
    authentication: {
      apiKeys: Object.entries(apiKeys).map(([key, subject]) => ({
        subject,
        credential: { case: 'sha256' as const, value: createHash('sha256').update(key).digest('hex') },
      })),
      ...(provider ? { jwt: [provider] } : {}),
      ...(options.anonymous === true ? { anonymous: {} } : {}),
    },
    authorization: rules,
  });
}

export interface RequestPathOptions extends TableOptions {
  readonly limits?: Partial<RequestLimits>;
  /** Of another node: its sessions open here. */
  readonly sessionKeys?: SessionKeys;
  /** Of another node, for two that go together. */
  readonly clock?: ManualClock;
  /** Where it meets other nodes. */
  readonly hub?: MemoryHub;
  readonly maxStreams?: number;
  readonly seed?: number;
  /** Begin without a table. */
  readonly noTable?: boolean;
  /** Load tenants when they are asked for. */
  readonly demand?: TenantDemandLimits;
  /** In place of the fake one: for tests with real connections. */
  readonly realUpstream?: (kit: { readonly clock: ManualClock; readonly metrics: Metrics }) => Upstream;
}

/** The request path of a node over a fake client and a fake upstream. */
export class RequestPath {
  readonly clock: ManualClock;
  readonly upstream = new FakeUpstream();
  readonly events: OutcomeEvent[] = [];
  readonly logger = new MemoryLogger();
  readonly metrics = new Metrics();
  readonly tables = new CurrentTable();
  readonly streams: OpenStreamsRegistry;
  readonly sessionKeys: SessionKeys;
  readonly hub: MemoryHub;
  readonly state: MemoryState;
  readonly demand: TenantDemand | undefined;
  /** What a node does with requests. */
  readonly handle: (exchange: Exchange) => void;
  readonly #options: RequestPathOptions;

  constructor(options: RequestPathOptions = {}) {
    this.clock = options.clock ?? new ManualClock();
    const { clock, logger } = this;
    const random = new SeededRandom(options.seed ?? 1);
    this.#options = options;
    this.sessionKeys = options.sessionKeys ?? randomSessionKeys(random);
    // Nothing runs by itself unless a test is about it.
    const limits = { ...defaultRequestLimits, endsIdleSessions: false, ...options.limits };
    this.hub = options.hub ?? new MemoryHub(clock, limits.nodes);
    this.state = new MemoryState(this.hub, `node-${this.hub.nodes.size + 1}`);
    const maxStreams = options.maxStreams ?? 100;
    this.streams = new OpenStreamsRegistry({ maxStreams, sliceMs: 5, clock, logger, onRefused: () => undefined });
    this.tables.observe({
      onSwap: (_previous, next) => this.streams.swapped(next),
      onRetired: () => undefined,
    });
    const { metrics } = this;
    this.demand = options.demand && new TenantDemand({ limits: options.demand, clock, logger, metrics });
    if (options.noTable !== true) this.tables.swap(tableOf(options));
    const { handle } = createRequestHandler({
      tables: this.tables,
      demand: this.demand,
      gateway: 'default',
      node: 'node-1',
      upstream: options.realUpstream?.(this) ?? this.upstream,
      recorder: { record: (event) => void this.events.push(event), close: () => Promise.resolve() },
      streams: this.streams,
      sessionKeys: this.sessionKeys,
      state: this.state,
      limits,
      clock,
      random,
      metrics: this.metrics,
      logger,
    });
    this.handle = handle;
    this.state.start();
  }

  /** Another table; resolves when every open stream has seen it. */
  async swap(options: TableOptions): Promise<void> {
    this.tables.swap(tableOf({ ...this.#options, revision: 2, ...options }));
    await this.settled();
  }

  /** Lets promises, and re-checks of streams, come to their end. */
  async settled(): Promise<void> {
    await this.clock.advance(1);
    await this.streams.settled();
    await this.clock.advance(1);
  }

  send(request: FakeRequest): FakeExchange {
    const exchange = new FakeExchange(request);
    this.handle(exchange);
    return exchange;
  }

  /** A POST of a JSON message; a string is sent as it is. */
  async post(message: unknown, headers: Record<string, string> = {}): Promise<FakeExchange> {
    const body = typeof message === 'string' ? message : JSON.stringify(message);
    const exchange = this.send({ headers: withDefaults(postHeaders, headers), body });
    await this.settled();
    return exchange;
  }

  /** Begins a legacy session for a key. @returns headers of requests in it. */
  async initialize(options: InitializeOptions = {}): Promise<Record<string, string>> {
    const { key = 'alice-key', upstreamSession = 'upstream-1', version = '2025-11-25' } = options;
    const params = { protocolVersion: version, capabilities: {}, clientInfo: { name: 'test', version: '1' } };
    const headers = { authorization: `Bearer ${key}` };
    const exchange = await this.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params }, headers);
    const session: Record<string, string> = upstreamSession === '' ? {} : { 'mcp-session-id': upstreamSession };
    this.upstream.last.result({ protocolVersion: version, capabilities: { tools: {} }, serverInfo: {} }, session);
    await this.settled();
    const id = exchange.headers['mcp-session-id'];
    if (id === undefined) throw new Error(`no session: ${exchange.status} ${exchange.text}`);
    return { ...headers, 'mcp-session-id': id, 'mcp-protocol-version': version };
  }

  /** A legacy request within a session. */
  request(session: Record<string, string>, method: string, params?: unknown, id: unknown = 1): Promise<FakeExchange> {
    return this.post({ jsonrpc: '2.0', id, method, ...(params === undefined ? {} : { params }) }, session);
  }

  /** A modern request; the upstream is probed as modern first if nobody has yet. */
  async modern(
    method: string,
    params: Record<string, unknown> = {},
    options: ModernOptions = {},
  ): Promise<FakeExchange> {
    const name = params['name'] ?? params['uri'];
    const headers = {
      authorization: 'Bearer alice-key',
      'mcp-protocol-version': modernVersion,
      'mcp-method': method,
      ...(typeof name === 'string' ? { 'mcp-name': name } : {}),
      ...options.headers,
    };
    const message = {
      jsonrpc: '2.0',
      id: options.id ?? 1,
      method,
      params: { ...params, _meta: { ...modernMeta, ...options.meta } },
    };
    const exchange = await this.post(message, headers);
    if (options.probe !== false) await this.answerProbe();
    return exchange;
  }

  /** Answers a waiting era probe: the upstream is modern. */
  async answerProbe(): Promise<void> {
    const probe = this.upstream.calls.findLast((call) => isProbe(call));
    probe?.result({ supportedVersions: [modernVersion], capabilities: {}, resultType: 'complete' });
    await this.settled();
  }
}

export interface InitializeOptions {
  readonly key?: string;
  /** Empty: the upstream keeps no sessions. */
  readonly upstreamSession?: string;
  readonly version?: string;
}

export interface ModernOptions {
  readonly id?: unknown;
  readonly headers?: Record<string, string>;
  readonly meta?: Record<string, unknown>;
  readonly probe?: boolean;
}

export const modernVersion = '2026-07-28';
export const modernMeta = {
  'io.modelcontextprotocol/protocolVersion': modernVersion,
  'io.modelcontextprotocol/clientCapabilities': {},
};

/** Whether a request at the upstream is the gateway's own look at its era. */
export function isProbe(call: FakeUpstreamCall): boolean {
  return call.text.includes('"id":"probe-');
}

const postHeaders = {
  authorization: 'Bearer alice-key',
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
};

/** A header with an empty value is left out. */
function withDefaults(defaults: Record<string, string>, given: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries({ ...defaults, ...given }).filter(([, value]) => value !== ''));
}
