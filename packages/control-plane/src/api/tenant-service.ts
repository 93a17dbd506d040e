import { type JsonObject, toJson } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { decodeDocument, decodeStored, operatorScope, type Problem } from '@signalbox/config';
import type {
  CreateTenantRequest,
  DeleteTenantRequest,
  GetTenantRequest,
  ListTenantsRequest,
  TenantService,
} from '@signalbox/proto/signalbox/admin/v1/tenant_service_pb.ts';
import { TenantSchema } from '@signalbox/proto/signalbox/config/v1/tenant_pb.ts';

import type { ConfigStore, TenantInfo, WriteInputs, WritePlan } from '../store/store.ts';
import { callerOf, noSuchScope, requireScope } from './authorize.ts';
import { type ApiLimits, successful } from './config-service.ts';
import { refusal } from './errors.ts';
import type { WantedResources, WritePlanner } from './plan-write.ts';
import { fingerprint, writeOptions } from './write-options.ts';

export interface TenantServiceParts {
  readonly store: ConfigStore;
  readonly planner: WritePlanner;
  readonly limits: ApiLimits;
}

const nothing: WantedResources = { put: [], delete: [], prune: false, confirmRemoval: false, warnings: [] };

/** Tenants: the short way to the Tenant resources of the operator's scope. */
export class TenantApi implements ServiceImpl<typeof TenantService> {
  readonly #parts: TenantServiceParts;

  constructor(parts: TenantServiceParts) {
    this.#parts = parts;
  }

  async createTenant(request: CreateTenantRequest, context: HandlerContext) {
    const { name } = request;
    const spec = request.spec ? (toJson(TenantSchema, request.spec) as JsonObject) : {};
    const { resource, problems } = decodeDocument({ kind: 'Tenant', tenant: '', name, spec });
    if (!resource) throw refusal(problems, this.#parts.limits.problems);
    const { stored } = resource;
    const plan = async (inputs: WriteInputs): Promise<WritePlan> => {
      if (inputs.current.resources.has(`Tenant/${name}`)) return { outcome: 'refuse', problems: [exists(name)] };
      return this.#parts.planner.apply(inputs, { ...nothing, put: [stored] });
    };
    await this.#write(context, {
      ...{ requestId: request.requestId, message: `create tenant ${name}`, plan },
      fingerprint: fingerprint('create-tenant', name, stored.digest),
    });
    return { tenant: await this.#tenant(name) };
  }

  async getTenant(request: GetTenantRequest, context: HandlerContext) {
    requireScope(callerOf(context), request.tenant);
    return { tenant: await this.#tenant(request.tenant) };
  }

  async listTenants(_request: ListTenantsRequest) {
    return { tenants: (await this.#parts.store.tenants()).map(tenantMessage) };
  }

  async deleteTenant(request: DeleteTenantRequest, context: HandlerContext) {
    const { name, force } = request;
    const wanted: WantedResources = { ...nothing, delete: [{ kind: 'Tenant', name }] };
    const plan = async (inputs: WriteInputs): Promise<WritePlan> => {
      if (!inputs.current.resources.has(`Tenant/${name}`)) throw noSuchScope(name);
      return this.#parts.planner.apply(inputs, wanted);
    };
    await this.#write(context, {
      ...{ requestId: request.requestId, message: `delete tenant ${name}`, plan, emptyRemovedTenants: force },
      fingerprint: fingerprint('delete-tenant', name, force),
    });
    return {};
  }

  async #write(
    context: HandlerContext,
    request: {
      readonly requestId: string;
      readonly message: string;
      readonly fingerprint: string;
      readonly emptyRemovedTenants?: boolean;
      plan(inputs: WriteInputs): Promise<WritePlan>;
    },
  ): Promise<void> {
    const { store, limits } = this.#parts;
    const scope = operatorScope;
    const options = writeOptions(request, context.requestHeader, limits.messageLength);
    const author = callerOf(context).name;
    const outcome = await store.write({ scope, author, cause: 'apply', ...request, ...options });
    if (outcome.outcome === 'refused' && outcome.problems.some(({ code }) => code === 'duplicate')) {
      throw refusal(outcome.problems, limits.problems, Code.AlreadyExists);
    }
    if (outcome.outcome === 'refused' && outcome.problems.some(({ code }) => code === 'still-referenced')) {
      throw refusal(outcome.problems, limits.problems, Code.FailedPrecondition);
    }
    successful(scope, outcome, limits.problems);
  }

  async #tenant(name: string) {
    const found = await this.#parts.store.tenant(name);
    if (!found) throw noSuchScope(name);
    return tenantMessage(found);
  }
}

function tenantMessage({ name, resource, revision, createdAt, resourceCount }: TenantInfo) {
  const { resource: decoded } = decodeStored(resource, operatorScope);
  if (decoded?.kind !== 'Tenant') {
    throw new ConnectError(`tenant "${name}" is stored in a form that this version cannot read`, Code.DataLoss);
  }
  const created = createdAt && { createdAt: timestampFromDate(createdAt) };
  return { name, spec: decoded.message, revision, ...created, resourceCount };
}

function exists(name: string): Problem {
  const message = `tenant "${name}" exists already: change it by applying a Tenant resource`;
  return { severity: 'error', code: 'duplicate', kind: 'Tenant', scope: operatorScope, name, field: '', message };
}
