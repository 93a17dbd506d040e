import {
  type Snapshot,
  type Json,
  type PresentedServer,
  presentedServers,
  toolTokens,
  type WeighedTool,
} from '@signalbox/config';

import type { CatalogStore } from '../store/catalog-store.ts';
import type { CatalogEntry } from './catalog.ts';

/** How much of a model's context a virtual server takes. */
export interface VirtualServerWeight {
  readonly virtualServer: string;
  readonly tools: number;
  readonly tokens: number;
  readonly searchableTools: number;
  readonly searchableTokens: number;
  readonly unknownMembers: string[];
  readonly toolSearch: boolean;
}

/** Weighs what virtual servers present, by what is known of their members, for somebody who may see all of it. */
export class VirtualServerScale {
  readonly #catalogs: Pick<CatalogStore, 'get'>;
  readonly #published: { snapshot(scope: string): Snapshot | undefined };

  constructor(catalogs: Pick<CatalogStore, 'get'>, published: { snapshot(scope: string): Snapshot | undefined }) {
    this.#catalogs = catalogs;
    this.#published = published;
  }

  /** By name. @param only of this virtual server; empty: all. */
  async weigh(scope: string, only: string): Promise<readonly VirtualServerWeight[]> {
    const snapshot = this.#published.snapshot(scope);
    if (!snapshot) return [];
    const servers = presentedServers(snapshot).filter(({ name }) => only === '' || name === only);
    const known = new Map<string, readonly CatalogEntry[] | undefined>();
    for (const backend of new Set(servers.flatMap(({ members }) => members.map((member) => member.backend)))) {
      const found = await this.#catalogs.get(scope, backend, { kinds: ['tool'] });
      known.set(backend, found && found.catalog.version > 0n ? found.entries : undefined);
    }
    return servers.map((server) => weightOf(server, (backend) => known.get(backend)));
  }
}

function weightOf(
  server: PresentedServer,
  toolsOf: (backend: string) => readonly CatalogEntry[] | undefined,
): VirtualServerWeight {
  const presented = server.members.flatMap((member) =>
    (toolsOf(member.backend) ?? []).flatMap((entry) => {
      const tool = JSON.parse(Buffer.from(entry.bytes).toString('utf8')) as WeighedTool & {
        readonly [key: string]: Json;
      };
      const shown = member.present(tool);
      return shown ? [shown] : [];
    }),
  );
  const listed = presented.filter(({ name }) => server.lists(name));
  const searchable = presented.filter(({ name }) => !server.lists(name));
  return {
    virtualServer: server.name,
    tools: listed.length + server.ownTools.length,
    tokens: sum([...listed, ...server.ownTools]),
    searchableTools: searchable.length,
    searchableTokens: sum(searchable),
    unknownMembers: server.members.map(({ backend }) => backend).filter((backend) => toolsOf(backend) === undefined),
    toolSearch: server.hasSearch,
  };
}

function sum(tools: readonly WeighedTool[]): number {
  return tools.reduce((total, tool) => total + toolTokens(tool), 0);
}
