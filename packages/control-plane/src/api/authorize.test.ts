import { ConfigService } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { Permission } from '@signalbox/proto/signalbox/admin/v1/permission_pb.ts';
import { AggregatedDiscoveryService } from '@signalbox/proto/envoy/service/discovery/v3/ads_pb.ts';
import { describe, expect, it } from 'vitest';

import { tokenRoles } from '../store/tokens.ts';
import type { Caller } from './authenticate.ts';
import { permissionsByPath, requirePermission, requireScope } from './authorize.ts';

const caller = (role: Caller['role'], ...tenants: string[]): Caller => ({ tokenId: 'id', name: 'name', role, tenants });

const names = ['CONFIG_READ', 'CONFIG_WRITE', 'TENANTS_MANAGE', 'NODES_READ', 'TOKENS_MANAGE'] as const;

describe('a role', () => {
  it('may do exactly what the table says', () => {
    const table = tokenRoles.map((role) => {
      const may = names.filter((name) => {
        try {
          requirePermission(caller(role), Permission[name]);
          return true;
        } catch {
          return false;
        }
      });
      return [role, ...may];
    });
    expect(table).toEqual([
      ['operator', 'CONFIG_READ', 'CONFIG_WRITE', 'TENANTS_MANAGE', 'NODES_READ', 'TOKENS_MANAGE'],
      ['tenant-admin', 'CONFIG_READ', 'CONFIG_WRITE', 'NODES_READ', 'TOKENS_MANAGE'],
      ['developer', 'CONFIG_READ', 'CONFIG_WRITE', 'NODES_READ'],
      ['auditor', 'CONFIG_READ', 'NODES_READ'],
      ['node'],
      ['relay'],
    ]);
  });
});

describe('permissions of methods', () => {
  it('come from the service definition', () => {
    const permissions = permissionsByPath([ConfigService]);
    expect(permissions.get('/signalbox.admin.v1.ConfigService/Apply')).toBe(Permission.CONFIG_WRITE);
    expect(permissions.size).toBe(ConfigService.methods.length);
  });

  it('must be declared: a service with a method that declares none cannot be served', () => {
    expect(() => permissionsByPath([AggregatedDiscoveryService])).toThrow('declares no permission');
  });
});

describe('a scope', () => {
  it('is open to tokens that are not bound and to tokens bound to it', () => {
    expect(() => requireScope(caller('operator'), 'acme')).not.toThrow();
    expect(() => requireScope(caller('developer', 'globex', 'acme'), 'acme')).not.toThrow();
  });

  it('of another tenant looks like one that does not exist', () => {
    expect(() => requireScope(caller('developer', 'acme'), 'globex')).toThrow('tenant "globex" does not exist');
  });

  it('of the operator is closed to tokens of tenants', () => {
    expect(() => requireScope(caller('tenant-admin', 'acme'), 'operator')).toThrow('permission_denied');
  });
});
