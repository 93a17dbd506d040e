import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import {
  digestOf,
  discoveryName,
  documentOf,
  makeSnapshot,
  operatorScope,
  type Snapshot,
  typeUrlOf,
} from '@signalbox/config';
import type { DumpConfigRequest, DumpService } from '@signalbox/proto/signalbox/admin/v1/dump_service_pb.ts';
import { nativeFamily } from '../projections/native.ts';
import type { Projection } from '../projections/projection.ts';
import { callerOf, noSuchScope, requireScope } from './authorize.ts';
import { redact } from './redact.ts';

export interface DumpApiOptions {
  /** What is published: the publisher. */
  readonly published: { ids(): Iterable<string>; snapshot(scope: string): Snapshot | undefined };
  readonly projections: readonly Projection[];
  /** Resources in one answer. */
  readonly maxResources: number;
}

/** A resource of a dump before its secrets are taken out. */
interface Dumped {
  readonly type: string;
  readonly name: string;
  readonly version: string;
  readonly content: JsonValue;
}

/** What discovery sends, as it is now. */
export class DumpApi implements ServiceImpl<typeof DumpService> {
  readonly #options: DumpApiOptions;

  constructor(options: DumpApiOptions) {
    this.#options = options;
  }

  dumpConfig(request: DumpConfigRequest, context: HandlerContext) {
    requireScope(callerOf(context), operatorScope);
    const { maxResources } = this.#options;
    const whole = this.#snapshot(operatorScope);
    requireGateway(whole, request.gateway);
    const tenants = this.#tenants(request.tenants);
    const operator = request.tenants.length === 0 ? whole : seenOf(whole, tenants);
    const resources = [...this.#resources(request, operator, tenants)];
    if (resources.length > maxResources) {
      const message = `more than ${maxResources} resources: name tenants, or raise SIGNALBOX_API_DUMP_RESOURCES`;
      throw new ConnectError(message, Code.ResourceExhausted);
    }
    return {
      scopes: [operator, ...tenants.values()].map(({ scope, revision }) => ({ scope, revision })),
      resources: resources.map((one) => ({ ...one, content: redact(one.content) as JsonObject })),
    };
  }

  #tenants(named: readonly string[]): ReadonlyMap<string, Snapshot> {
    const all = [...this.#options.published.ids()].filter((scope) => scope !== operatorScope);
    const names = (named.length === 0 ? all : [...new Set(named)]).sort();
    return new Map(names.map((name) => [name, this.#snapshot(name)]));
  }

  #snapshot(scope: string): Snapshot {
    const snapshot = this.#options.published.snapshot(scope);
    if (!snapshot) throw noSuchScope(scope);
    return snapshot;
  }

  *#resources(
    { gateway, family, version }: DumpConfigRequest,
    operator: Snapshot,
    tenants: ReadonlyMap<string, Snapshot>,
  ): Iterable<Dumped> {
    if (family === '' || family === nativeFamily.name) {
      for (const snapshot of [operator, ...tenants.values()]) yield* nativeResources(snapshot);
      return;
    }
    const projection = this.#options.projections.find((each) => each.family.name === family);
    if (!projection) {
      const known = [nativeFamily, ...this.#options.projections.map((each) => each.family)].map(({ name }) => name);
      throw new ConnectError(`no family "${family}": it is one of ${known.join(', ')}`, Code.InvalidArgument);
    }
    const variant = projection.variantOf?.({ userAgentName: family, userAgentVersion: version })?.id ?? '';
    for (const resource of projection.project({ gateway, variant, operator, tenants })) {
      const { typeUrl: type, name, body } = resource;
      yield { type, name, version: digestOf(body), content: projection.describe?.(resource) ?? { bytes: body.length } };
    }
  }
}

/** What a credential that names tenants gets of the operator's set: everything but the Tenants of others. */
function seenOf({ scope, revision, resources }: Snapshot, tenants: ReadonlyMap<string, Snapshot>): Snapshot {
  const seen = [...resources.values()].filter(({ kind, name }) => kind !== 'Tenant' || tenants.has(name));
  return makeSnapshot(scope, revision, seen);
}

function* nativeResources(snapshot: Snapshot): Iterable<Dumped> {
  const { scope } = snapshot;
  for (const stored of snapshot.resources.values()) {
    const { kind, name, digest: version } = stored;
    const { spec: content } = documentOf(scope, stored);
    yield { type: typeUrlOf(kind), name: discoveryName({ kind, scope, name }), version, content };
  }
}

function requireGateway(operator: Snapshot, gateway: string): void {
  if (operator.resources.has(`Gateway/${gateway}`)) return;
  const message = gateway === '' ? 'gateway is required' : `gateway "${gateway}" does not exist`;
  throw new ConnectError(message, gateway === '' ? Code.InvalidArgument : Code.NotFound);
}
