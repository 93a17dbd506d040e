import { fromBinary } from '@bufbuild/protobuf';
import { operatorScope, type Snapshot, type StoredResource } from '@signalbox/config';
import { TenantSchema } from '@signalbox/proto/signalbox/config/v1/tenant_pb.ts';

import type { TenantRights } from './tenant-rights.ts';

type Labels = Readonly<Record<string, string>>;

interface OperatorParts {
  readonly of: Snapshot;
  readonly tenants: readonly StoredResource[];
  readonly others: readonly StoredResource[];
}

/** Which tenants rights cover, as the operator's published set has their labels now. */
export class TenantDirectory {
  readonly #published: { snapshot(scope: string): Snapshot | undefined };
  #parts: OperatorParts | undefined;
  readonly #labels = new WeakMap<StoredResource, Labels | undefined>();

  constructor(published: { snapshot(scope: string): Snapshot | undefined }) {
    this.#published = published;
  }

  /** Whether rights cover a tenant of this name. A tenant that does not exist has no labels. */
  covers(rights: TenantRights | null, tenant: string): boolean {
    if (rights === null || rights.names.has(tenant)) return true;
    if (!rights.selector) return false;
    const resource = this.#published.snapshot(operatorScope)?.resources.get(`Tenant/${tenant}`);
    return resource !== undefined && this.coversResource(rights, resource);
  }

  /** Whether rights cover the tenant of a Tenant resource. */
  coversResource({ names, selector }: TenantRights, resource: StoredResource): boolean {
    if (names.has(resource.name)) return true;
    if (!selector) return false;
    const labels = this.#labelsOf(resource);
    return labels !== undefined && selector.matches(labels);
  }

  /** The Tenants of a set of the operator that rights cover. */
  tenantsOf(rights: TenantRights, operator: Snapshot): readonly StoredResource[] {
    if (!rights.selector) return [...rights.names].flatMap((name) => operator.resources.get(`Tenant/${name}`) ?? []);
    return this.#partsOf(operator).tenants.filter((resource) => this.coversResource(rights, resource));
  }

  /** Everything else in it. */
  besideTenants(operator: Snapshot): readonly StoredResource[] {
    return this.#partsOf(operator).others;
  }

  /** Told apart once for all who ask. */
  #partsOf(operator: Snapshot): OperatorParts {
    if (this.#parts?.of !== operator) {
      const resources = [...operator.resources.values()];
      const tenants = resources.filter(({ kind }) => kind === 'Tenant');
      this.#parts = { of: operator, tenants, others: resources.filter(({ kind }) => kind !== 'Tenant') };
    }
    return this.#parts;
  }

  /** Undefined if the resource cannot be read: then no selector matches, not even a negative one. */
  #labelsOf(resource: StoredResource): Labels | undefined {
    if (!this.#labels.has(resource)) this.#labels.set(resource, labelsIn(resource));
    return this.#labels.get(resource);
  }
}

function labelsIn({ body }: StoredResource): Labels | undefined {
  try {
    return fromBinary(TenantSchema, body).labels;
  } catch {
    return undefined;
  }
}
