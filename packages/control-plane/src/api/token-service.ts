import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { operatorScope, parseLabelSelector } from '@signalbox/config';
import type {
  CreateTokenRequest,
  ListTokensRequest,
  RevokeTokenRequest,
  TokenService,
} from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';
import { Role, TokenForm as WireForm } from '@signalbox/proto/signalbox/admin/v1/token_service_pb.ts';

import { isDuplicate } from '../store/database-error.ts';
import type { ConfigStore } from '../store/store.ts';
import {
  isSubscriber,
  type NewToken,
  type TokenForm,
  type TokenRecord,
  type TokenRole,
  type TokenStore,
} from '../store/tokens.ts';
import type { Caller } from './authenticate.ts';
import { callerOf, noSuchScope, seesAllTenants } from './authorize.ts';
import { invalidArgument } from './errors.ts';

const roles: Readonly<Record<TokenRole, Role>> = {
  operator: Role.OPERATOR,
  'tenant-admin': Role.TENANT_ADMIN,
  developer: Role.DEVELOPER,
  auditor: Role.AUDITOR,
  node: Role.NODE,
  relay: Role.RELAY,
};

const forms: Readonly<Record<TokenForm, WireForm>> = {
  bearer: WireForm.BEARER,
  join: WireForm.JOIN,
  certificate: WireForm.CERTIFICATE,
};

const groupName = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const maxGroups = 20;
const nodeName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;
/** How long a node may take to join unless told otherwise, in seconds. */
const joinSeconds = 600;
const maxNameLength = 200;
const maxTenants = 1_000;
const maxTtlSeconds = 100n * 366n * 86_400n;

export interface TokenServiceParts {
  readonly tokens: TokenStore;
  readonly store: ConfigStore;
  /** Families of resources that are served. */
  readonly families: readonly string[];
  /** Called with the id of a token that was revoked: what it has opened shall end. */
  readonly onRevoke: (tokenId: string) => void;
}

/** Credentials of people, scripts and nodes. The admin of a tenant manages those that are bound to it alone. */
export class TokenApi implements ServiceImpl<typeof TokenService> {
  readonly #parts: TokenServiceParts;

  constructor(parts: TokenServiceParts) {
    this.#parts = parts;
  }

  async createToken(request: CreateTokenRequest, context: HandlerContext) {
    const token = requestedToken(request);
    if (token.family !== '') requireFamily(token.family, this.#parts.families);
    requireGroups(request.groups, token.role);
    const caller = callerOf(context);
    requireGrant(caller, token);
    await this.#requireTenants(token.tenants);
    const [tenant] = token.tenants;
    const scope = seesAllTenants(caller) || tenant === undefined ? operatorScope : tenant;
    const { record, credential } = await this.#parts.tokens
      .create(scope, { ...token, groups: request.groups })
      .catch((error: unknown) => {
        if (!isDuplicate(error)) throw error;
        const whose = token.node === '' ? `of the gateway "${token.gateway}"` : `of the node "${token.node}"`;
        throw new ConnectError(
          `there is a token for certificates ${whose} already: revoke it first`,
          Code.AlreadyExists,
        );
      });
    return { token: tokenMessage(record), secret: record.form === 'certificate' ? '' : credential.reveal() };
  }

  async #requireTenants(names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    const known = new Set((await this.#parts.store.tenants(names)).map(({ name }) => name));
    const missing = names.find((name) => !known.has(name));
    if (missing !== undefined) throw noSuchScope(missing);
  }

  async listTokens(_request: ListTokensRequest, context: HandlerContext) {
    const lists = await Promise.all(scopesOf(callerOf(context)).map((scope) => this.#parts.tokens.list(scope)));
    return { tokens: lists.flat().map(tokenMessage) };
  }

  async revokeToken(request: RevokeTokenRequest, context: HandlerContext) {
    for (const scope of scopesOf(callerOf(context))) {
      if (!(await this.#parts.tokens.revoke(scope, request.id))) continue;
      this.#parts.onRevoke(request.id);
      return {};
    }
    throw new ConnectError(`token "${request.id}" does not exist`, Code.NotFound);
  }
}

function requireGroups(groups: readonly string[], role: TokenRole): void {
  if (groups.length > 0 && !isSubscriber(role)) throw invalidArgument('only nodes and relays belong to groups');
  if (groups.length > maxGroups) throw invalidArgument(`nodes belong to at most ${maxGroups} groups`);
  const wrong = groups.find((group) => !groupName.test(group));
  if (wrong !== undefined) {
    throw invalidArgument(`"${wrong}" is not a group: use 1 to 63 lower-case letters, digits and "-"`);
  }
}

function requireFamily(family: string, families: readonly string[]): void {
  if (families.includes(family)) return;
  throw invalidArgument(`the family "${family}" is not served: choose one of ${families.join(', ')}`);
}

/** Scopes in which a caller manages tokens. */
function scopesOf(caller: Caller): readonly string[] {
  return seesAllTenants(caller) ? [operatorScope] : caller.tenants;
}

/** The token that a request asks for. @throws ConnectError invalid_argument if its parts do not fit together. */
function requestedToken(request: CreateTokenRequest): NewToken {
  const { name, tenants, gateway, ttlSeconds } = request;
  const role = (Object.keys(roles) as TokenRole[]).find((known) => roles[known] === request.role);
  if (!role) throw invalidArgument('role is required');
  if (name === '' || name.length > maxNameLength) throw invalidArgument(`name takes 1 to ${maxNameLength} characters`);
  if (tenants.length > maxTenants) throw invalidArgument(`a token is bound to at most ${maxTenants} tenants`);
  if (ttlSeconds > maxTtlSeconds) throw invalidArgument('ttl_seconds is longer than 100 years: 0 means for ever');
  if (role === 'operator' && tenants.length > 0) throw invalidArgument('an operator is not bound to tenants');
  if ((role === 'tenant-admin' || role === 'developer') && tenants.length === 0) {
    throw invalidArgument(`the role ${role} is bound to at least one tenant`);
  }
  const subscribes = isSubscriber(role);
  if (subscribes !== (gateway !== '')) {
    throw invalidArgument(subscribes ? `a ${role} needs its gateway` : 'only nodes and relays have a gateway');
  }
  if (!subscribes && request.family !== '') throw invalidArgument('only nodes have a family');
  const family = subscribes ? request.family || 'native' : '';
  if (role === 'relay' && family !== 'native') throw invalidArgument('a relay has the family native');
  const selector = requestedSelector(request, subscribes);
  const form = requestedForm(request, role);
  const ttl = ttlSeconds === 0n ? undefined : Number(ttlSeconds);
  const expires = { ttlSeconds: ttl ?? (form === 'join' ? joinSeconds : undefined) };
  return {
    name,
    role,
    tenants: [...new Set(tenants)],
    selector,
    gateway,
    family,
    form,
    node: request.node,
    ...expires,
  };
}

function requestedForm({ form, node }: CreateTokenRequest, role: TokenRole): TokenForm {
  const wanted = (Object.keys(forms) as TokenForm[]).find((known) => forms[known] === form) ?? 'bearer';
  if (wanted !== 'bearer' && !isSubscriber(role))
    throw invalidArgument(`only a node has a token of the form ${wanted}`);
  if (wanted === 'bearer' && node !== '') throw invalidArgument('a token with a secret is for any node of its gateway');
  if (node !== '' && !nodeName.test(node)) throw invalidArgument('node: use letters, digits, ".", "_" and "-"');
  return wanted;
}

function requestedSelector({ tenantSelector: text }: CreateTokenRequest, subscribes: boolean): string {
  if (text === '') return text;
  if (!subscribes) throw invalidArgument('only nodes and relays are bound to tenants by label');
  const selector = parseLabelSelector(text);
  if (typeof selector === 'string') throw invalidArgument(`tenant_selector: ${selector}`);
  return text;
}

/** Nobody grants more than he has: the admin of a tenant makes tokens of people, bound to one tenant of his. */
function requireGrant(caller: Caller, token: NewToken): void {
  if (seesAllTenants(caller)) return;
  const [tenant, ...more] = token.tenants;
  const isOfPeople = token.role === 'tenant-admin' || token.role === 'developer' || token.role === 'auditor';
  if (isOfPeople && more.length === 0 && tenant !== undefined && caller.tenants.includes(tenant)) return;
  const text = 'you may create tokens with the roles tenant-admin, developer and auditor, bound to one of your tenants';
  throw new ConnectError(text, Code.PermissionDenied);
}

function tokenMessage(record: TokenRecord) {
  const { id, name, tenants, gateway, family, createdAt, expiresAt, revokedAt, lastUsedAt } = record;
  return {
    ...{ id, name, role: roles[record.role], tenants: [...tenants], gateway, family },
    ...{ form: forms[record.form], node: record.node, tenantSelector: record.selector },
    groups: [...record.groups],
    createdAt: timestampFromDate(createdAt),
    ...(expiresAt && { expiresAt: timestampFromDate(expiresAt) }),
    ...(revokedAt && { revokedAt: timestampFromDate(revokedAt) }),
    ...(lastUsedAt && { lastUsedAt: timestampFromDate(lastUsedAt) }),
  };
}
