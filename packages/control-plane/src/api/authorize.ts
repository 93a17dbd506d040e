import { type DescMethod, type DescService, getOption, hasOption } from '@bufbuild/protobuf';
import { Code, ConnectError, type HandlerContext } from '@connectrpc/connect';
import { operatorScope } from '@signalbox/config';
import { permission, Permission } from '@signalbox/proto/signalbox/admin/v1/permission_pb.ts';

import type { TokenRole } from '../store/tokens.ts';
import { type Caller, callerKey } from './authenticate.ts';

/** What each role may do, in the tenants that its token is bound to. A node has no business here. */
const permissionsOf: Readonly<Record<TokenRole, ReadonlySet<Permission>>> = {
  operator: new Set([
    Permission.CONFIG_READ,
    Permission.CONFIG_WRITE,
    Permission.TENANTS_MANAGE,
    Permission.NODES_READ,
    Permission.TOKENS_MANAGE,
  ]),
  'tenant-admin': new Set([
    Permission.CONFIG_READ,
    Permission.CONFIG_WRITE,
    Permission.NODES_READ,
    Permission.TOKENS_MANAGE,
  ]),
  developer: new Set([Permission.CONFIG_READ, Permission.CONFIG_WRITE, Permission.NODES_READ]),
  auditor: new Set([Permission.CONFIG_READ, Permission.NODES_READ]),
  node: new Set(),
  relay: new Set(),
};

/** The permission that an RPC's definition demands. @throws Error if it declares none: the API must not start. */
function declaredPermission(method: DescMethod): Permission {
  const declared = hasOption(method, permission) ? getOption(method, permission) : Permission.PERMISSION_UNSPECIFIED;
  if (declared === Permission.PERMISSION_UNSPECIFIED) {
    throw new Error(
      `${method.parent.typeName}/${method.name} declares no permission: set (signalbox.admin.v1.permission)`,
    );
  }
  return declared;
}

/** The declared permission of every RPC, by request path. @throws Error if one declares none. */
export function permissionsByPath(services: readonly DescService[]): ReadonlyMap<string, Permission> {
  return new Map(
    services.flatMap((service) =>
      service.methods.map((method) => [`/${service.typeName}/${method.name}`, declaredPermission(method)] as const),
    ),
  );
}

/** Refuses a caller whose role lacks the permission. @throws ConnectError permission_denied */
export function requirePermission(caller: Caller, needed: Permission): void {
  if (permissionsOf[caller.role].has(needed)) return;
  throw new ConnectError(`the role ${caller.role} may not do this`, Code.PermissionDenied);
}

/** The caller of an RPC. */
export function callerOf(context: HandlerContext): Caller {
  const caller = context.values.get(callerKey);
  if (!caller) throw new ConnectError('no caller', Code.Unauthenticated);
  return caller;
}

/** Not bound to a tenant: sees them all. */
export function seesAllTenants(caller: Caller): boolean {
  return caller.tenants.length === 0;
}

/** No scope has a name of other characters: nobody need look for it. */
const scopeName = /^[a-z0-9-]{1,253}$/;

/**
 * Refuses a scope that the caller's token is not bound to. Another tenant looks exactly like one that does not exist.
 * @throws ConnectError not_found, or permission_denied for the operator's scope, which everybody knows of.
 */
export function requireScope(caller: Caller, scope: string): void {
  if (!scopeName.test(scope)) throw noSuchScope(scope);
  if (seesAllTenants(caller) || caller.tenants.includes(scope)) return;
  if (scope === operatorScope) {
    throw new ConnectError('this token is bound to tenants: it may not see the operator scope', Code.PermissionDenied);
  }
  throw noSuchScope(scope);
}

export function noSuchScope(scope: string): ConnectError {
  const text = scope === '' ? 'scope is required: a tenant, or "operator"' : `tenant "${scope}" does not exist`;
  return new ConnectError(text, scope === '' ? Code.InvalidArgument : Code.NotFound);
}
