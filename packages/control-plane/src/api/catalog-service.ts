import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { descriptorKinds, operatorScope } from '@signalbox/config';
import type {
  CatalogService,
  DiffCatalogRequest,
  GetCatalogRequest,
  ListCatalogsRequest,
  ListCatalogVersionsRequest,
  RefreshCatalogsRequest,
  WeighVirtualServersRequest,
} from '@signalbox/proto/signalbox/admin/v1/catalog_service_pb.ts';
import type { Logger } from '@signalbox/runtime';

import { type Catalog, type CatalogEntry, entryChanges } from '../catalog/catalog.ts';
import type { VirtualServerScale } from '../catalog/virtual-server-scale.ts';
import type { CatalogStore } from '../store/catalog-store.ts';
import type { ConfigStore } from '../store/store.ts';
import { callerOf, noSuchScope, requireScope } from './authorize.ts';
import { catalogMessage, changeMessage, descriptorMessage, versionMessage } from './catalog-message.ts';
import { invalidArgument } from './errors.ts';

export interface CatalogServiceParts {
  readonly catalogs: CatalogStore;
  readonly scale: Pick<VirtualServerScale, 'weigh'>;
  readonly store: Pick<ConfigStore, 'tenant'>;
  readonly logger: Logger;
}

const maxLimit = 1_000;

/** What MCP servers have, and how that has changed. */
export class CatalogApi implements ServiceImpl<typeof CatalogService> {
  readonly #parts: CatalogServiceParts;

  constructor(parts: CatalogServiceParts) {
    this.#parts = parts;
  }

  async listCatalogs({ scope, limit, after }: ListCatalogsRequest, context: HandlerContext) {
    await this.#requireTenant(context, scope);
    const most = limitOf(limit, 100);
    const catalogs = await this.#parts.catalogs.list(scope, { after, limit: most });
    const next = catalogs.length < most ? '' : (catalogs.at(-1)?.backend ?? '');
    return { catalogs: catalogs.map(catalogMessage), next };
  }

  async getCatalog(request: GetCatalogRequest, context: HandlerContext) {
    const { scope, backend, version, kinds, name } = request;
    await this.#requireTenant(context, scope);
    const unknown = kinds.find((kind) => !(descriptorKinds as readonly string[]).includes(kind));
    if (unknown !== undefined) throw invalidArgument(`no kind "${unknown}": kinds are ${descriptorKinds.join(', ')}`);
    const filter = { kinds, ...(name !== '' && { name }), ...(version > 0n && { version }) };
    const found = await this.#parts.catalogs.get(scope, backend, filter);
    if (!found) throw noCatalog(scope, backend);
    if (version > 0n) await this.#requireVersion(found.catalog, version);
    const { catalog, entries } = found;
    return {
      catalog: catalogMessage(catalog),
      version: version > 0n ? version : catalog.version,
      descriptors: entries.map(descriptorMessage),
    };
  }

  async listCatalogVersions({ scope, backend, limit }: ListCatalogVersionsRequest, context: HandlerContext) {
    await this.#requireTenant(context, scope);
    const catalog = await this.#catalogOf(scope, backend);
    const versions = await this.#parts.catalogs.versions(scope, backend, limitOf(limit, 50));
    return { catalog: catalogMessage(catalog), versions: versions.map(versionMessage) };
  }

  async diffCatalog({ scope, backend, from, to }: DiffCatalogRequest, context: HandlerContext) {
    await this.#requireTenant(context, scope);
    const catalog = await this.#catalogOf(scope, backend);
    const end = to > 0n ? to : catalog.version;
    const start = from > 0n ? from : end - 1n;
    const before = await this.#entriesAt(catalog, start);
    const after = await this.#entriesAt(catalog, end);
    return { from: start, to: end, changes: entryChanges(before, after).map(changeMessage) };
  }

  async refreshCatalogs({ scope, backend }: RefreshCatalogsRequest, context: HandlerContext) {
    await this.#requireTenant(context, scope);
    const { catalogs, logger } = this.#parts;
    if (backend !== '') await this.#catalogOf(scope, backend);
    await catalogs.refresh(scope, backend === '' ? undefined : backend);
    logger.info('a look at servers was asked for', { scope, backend, actor: callerOf(context).name });
    const list = await catalogs.list(scope, { ...(backend !== '' && { backend }), limit: maxLimit });
    return { catalogs: list.map(catalogMessage) };
  }

  async weighVirtualServers({ scope, virtualServer }: WeighVirtualServersRequest, context: HandlerContext) {
    await this.#requireTenant(context, scope);
    const weights = await this.#parts.scale.weigh(scope, virtualServer);
    if (weights.length === 0 && virtualServer !== '') {
      throw new ConnectError(`tenant "${scope}" has no VirtualServer "${virtualServer}"`, Code.NotFound);
    }
    return { weights: [...weights] };
  }

  /** Version 0, before the first, has nothing in it. */
  async #entriesAt(catalog: Catalog, version: bigint): Promise<readonly CatalogEntry[]> {
    const { tenant, backend } = catalog;
    if (version <= 0n) return [];
    await this.#requireVersion(catalog, version);
    return (await this.#parts.catalogs.get(tenant, backend, { version }))?.entries ?? [];
  }

  async #requireVersion({ tenant, backend, version: newest }: Catalog, version: bigint): Promise<void> {
    const versions = await this.#parts.catalogs.versions(tenant, backend, maxLimit);
    if (versions.some((known) => known.version === version)) return;
    const oldest = versions.at(-1)?.version ?? 0n;
    const kept = newest === 0n ? 'there is none yet' : `kept are ${oldest} to ${newest}`;
    throw new ConnectError(`the catalog of "${backend}" has no version ${version}: ${kept}`, Code.NotFound);
  }

  async #catalogOf(scope: string, backend: string): Promise<Catalog> {
    const [catalog] = await this.#parts.catalogs.list(scope, { backend, limit: 1 });
    if (!catalog) throw noCatalog(scope, backend);
    return catalog;
  }

  async #requireTenant(context: HandlerContext, scope: string): Promise<void> {
    requireScope(callerOf(context), scope);
    if (scope === operatorScope) throw invalidArgument('backends belong to tenants: name one');
    if (!(await this.#parts.store.tenant(scope))) throw noSuchScope(scope);
  }
}

function noCatalog(scope: string, backend: string): ConnectError {
  return new ConnectError(`tenant "${scope}" has no MCP backend "${backend}"`, Code.NotFound);
}

function limitOf(limit: number, usual: number): number {
  if (limit > maxLimit) throw invalidArgument(`limit is at most ${maxLimit}`);
  return limit === 0 ? usual : limit;
}
