import type { Snapshot } from '@signalbox/config';
import { operatorScope } from '@signalbox/config';

import { type RegisteredServer, registeredServers, type ResourceChange } from '../catalog/registry.ts';
import { readCatalogs } from './catalog-rows.ts';
import type { Database } from './database.ts';

export interface RegistryStoreOptions {
  readonly database: Database;
  readonly published: { snapshot(scope: string): Snapshot | undefined };
  readonly gatewayUrls: ReadonlyMap<string, string>;
}

/** Catalogs of one tenant that are read at once. */
const maxCatalogs = 100_000;

/** The servers of a tenant, as a registry tells of them. */
export class RegistryStore {
  readonly #options: RegistryStoreOptions;

  constructor(options: RegistryStoreOptions) {
    this.#options = options;
  }

  /** Undefined if there is no such tenant. */
  async servers(scope: string): Promise<readonly RegisteredServer[] | undefined> {
    const { published, database, gatewayUrls } = this.#options;
    const [tenant, operator] = [published.snapshot(scope), published.snapshot(operatorScope)];
    if (!tenant || !operator || scope === operatorScope) return undefined;
    return database.read(scope, async ({ sql }) => {
      const rows = await sql<(ResourceChange & { kind: string; name: string })[]>`
        select kind, name, resource.revision, at from signalbox.resource
        join signalbox.revision on revision.tenant = resource.tenant and revision.revision = resource.revision
        where resource.tenant = ${scope} and kind in ('Route', 'VirtualServer', 'Backend') and not deleted`;
      const catalogs = await readCatalogs(sql, { tenant: scope, limit: maxCatalogs });
      return registeredServers({
        ...{ tenant, operator, gatewayUrls },
        changes: new Map(rows.map(({ kind, name, revision, at }) => [`${kind}/${name}`, { revision, at }])),
        catalogs: new Map(catalogs.map((catalog) => [catalog.backend, catalog])),
      });
    });
  }
}
