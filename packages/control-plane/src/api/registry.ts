import type { ConnectError } from '@connectrpc/connect';
import { codeToHttpStatus } from '@connectrpc/connect/protocol-connect';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { pageOf, type RegisteredServer, type RegistryQuery } from '../catalog/registry.ts';
import type { RegistryStore } from '../store/registry-store.ts';
import type { Caller } from './authenticate.ts';
import { noSuchScope, requireScope } from './authorize.ts';
import { invalidArgument, toConnectError } from './errors.ts';

export interface RegistryOptions {
  readonly registry: Pick<RegistryStore, 'servers'>;
  /** Who calls; every request has been let in. */
  readonly callerOf: (request: FastifyRequest) => Caller | undefined;
}

/** Paths of the MCP Registry's read API; below the tenant's name, or for tokens of one tenant without it. */
export const registryPath = /^\/(?:registry\/[^/?]+\/)?v0\.1\/servers(?:[/?]|$)/;

const limits = { usual: 30, most: 100 };

interface Asked {
  readonly Params: { readonly tenant?: string; readonly name?: string; readonly version?: string };
  readonly Querystring: Readonly<Record<string, unknown>>;
}

/** Serves a tenant's MCP servers as a registry does: the Registry's `/v0.1/servers`, to read. */
export function addRegistry(http: FastifyInstance, { registry, callerOf }: RegistryOptions): void {
  const serversOf = async (request: FastifyRequest<Asked>): Promise<readonly RegisteredServer[]> => {
    const scope = tenantOf(callerOf(request), request.params.tenant);
    const servers = await registry.servers(scope);
    if (!servers) throw noSuchScope(scope);
    return servers;
  };
  for (const base of ['/registry/:tenant/v0.1', '/v0.1']) {
    http.get<Asked>(`${base}/servers`, (request, reply) =>
      answer(reply, async () => {
        const query = queryOf(request.query);
        const { servers, next } = pageOf(await serversOf(request), query);
        return list(servers, next === undefined ? undefined : Buffer.from(next).toString('base64url'));
      }),
    );
    http.get<Asked>(`${base}/servers/:name/versions`, (request, reply) =>
      answer(reply, async () => list([named(await serversOf(request), request.params)])),
    );
    http.get<Asked>(`${base}/servers/:name/versions/:version`, (request, reply) =>
      answer(reply, async () => named(await serversOf(request), request.params).response),
    );
  }
}

function tenantOf(caller: Caller | undefined, tenant: string | undefined): string {
  const scope = tenant ?? (caller?.tenants.length === 1 ? caller.tenants[0] : undefined);
  if (!caller || scope === undefined) {
    throw invalidArgument('a registry is one tenant’s: ask below /registry/<tenant>, or with a token of one tenant');
  }
  requireScope(caller, scope);
  return scope;
}

function queryOf(query: Readonly<Record<string, unknown>>): RegistryQuery {
  for (const [name, value] of Object.entries(query)) {
    if (typeof value !== 'string') throw invalidArgument(`${name} is given more than once`);
  }
  const { cursor, search, updated_since: since, version, limit } = query as Readonly<Record<string, string>>;
  const count = limit === undefined ? limits.usual : Number(limit);
  if (!Number.isInteger(count) || count < 1 || count > limits.most)
    throw invalidArgument(`limit is a number from 1 to ${limits.most}`);
  const updatedSince = since === undefined ? undefined : new Date(since);
  if (updatedSince && (Number.isNaN(updatedSince.getTime()) || !/^\d{4}-\d\d-\d\dT/.test(since ?? ''))) {
    throw invalidArgument('updated_since is a time of RFC 3339, such as 2026-11-21T12:00:00Z');
  }
  return {
    ...{ limit: count, updatedSince, search, version: version || undefined },
    after: cursor === undefined ? undefined : Buffer.from(cursor, 'base64url').toString('utf8'),
  };
}

function named(servers: readonly RegisteredServer[], { name, version = 'latest' }: Asked['Params']): RegisteredServer {
  const found = servers.find((server) => server.name === name);
  if (found && (version === 'latest' || version === found.version)) return found;
  throw new NotFound(found ? 'Server version not found' : 'Server not found');
}

class NotFound extends Error {}

function list(servers: readonly RegisteredServer[], nextCursor?: string) {
  const metadata = { count: servers.length, ...(nextCursor !== undefined && { nextCursor }) };
  return { servers: servers.map(({ response }) => response), metadata };
}

/** Errors are told as the Registry tells them. */
async function answer(reply: FastifyReply, work: () => Promise<object>): Promise<FastifyReply> {
  try {
    return reply.type('application/json').send(await work());
  } catch (error) {
    if (error instanceof NotFound) return reply.code(404).send({ error: error.message });
    return refuseRegistry(reply, toConnectError(error));
  }
}

export function refuseRegistry(reply: FastifyReply, error: ConnectError): FastifyReply {
  return reply.code(codeToHttpStatus(error.code)).type('application/json').send({ error: error.rawMessage });
}
