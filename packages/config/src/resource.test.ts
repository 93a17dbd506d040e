import { create, toBinary } from '@bufbuild/protobuf';
import { AuthorizationRuleSchema } from '@signalbox/proto/signalbox/config/v1/authorization_pb.ts';
import { BackendSchema } from '@signalbox/proto/signalbox/config/v1/backend_pb.ts';
import { PolicySchema } from '@signalbox/proto/signalbox/config/v1/policy_pb.ts';
import { TenantSchema } from '@signalbox/proto/signalbox/config/v1/tenant_pb.ts';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digestOf } from './digest.ts';
import type { Kind } from './kind.ts';
import {
  decodeDocument,
  decodeStored,
  documentOf,
  encodeResource,
  findDuplicates,
  inlineKeyProblems,
} from './resource.ts';
import type { StoredResource } from './snapshot.ts';
import { stored } from './testing/resources.ts';

const documents = [
  {
    kind: 'Gateway',
    tenant: '',
    name: 'default',
    spec: { listeners: [{ name: 'http', port: 8080, hostnames: ['a.example'] }] },
  },
  { kind: 'Tenant', tenant: '', name: 'acme', spec: { displayName: 'Acme', labels: { a: '1', b: '2' } } },
  { kind: 'Backend', tenant: 'acme', name: 'weather', spec: { mcp: { url: 'http://127.0.0.1:3001/mcp' } } },
  { kind: 'VirtualServer', tenant: 'acme', name: 'assistant', spec: { members: [{ backend: 'weather' }] } },
  {
    kind: 'Route',
    tenant: 'acme',
    name: 'assistant',
    spec: {
      gateway: 'default',
      match: { path: '/acme/a', headers: [{ name: 'x', exact: '1' }] },
      mcp: { virtualServer: 'assistant' },
    },
  },
  {
    kind: 'Policy',
    tenant: 'acme',
    name: 'access',
    spec: {
      target: { tenant: {} },
      authentication: { apiKeys: [{ subject: 'robot', sha256: 'a'.repeat(64) }], anonymous: {} },
      authorization: [{ effect: 'ALLOW', when: 'true' }],
    },
  },
];

describe('a resource', () => {
  it.each(documents)('of kind $kind comes back from its bytes as it was written', (document) => {
    const { resource } = decodeDocument(document);
    expect(documentOf(document.tenant || 'operator', resource?.stored as StoredResource)).toEqual(document);
    const again = decodeStored(resource?.stored as StoredResource, document.tenant || 'operator');
    expect(again.resource).toEqual(resource);
  });

  it('has the same bytes whatever the order of map keys', () => {
    const labels = fc.dictionary(fc.constantFrom('a', 'b', 'c', '1', '10', '2'), fc.string({ maxLength: 2 }));
    fc.assert(
      fc.property(labels, (given) => {
        const entries = Object.entries(given);
        const encode = (pairs: readonly (readonly [string, string])[]): StoredResource =>
          encodeResource('Tenant', 'acme', create(TenantSchema, { labels: Object.fromEntries(pairs) }));
        expect(encode(entries.toReversed())).toEqual(encode(entries));
      }),
    );
  });

  it('is not changed by being encoded', () => {
    const tenant = create(TenantSchema, { labels: { b: '1', a: '2' } });
    encodeResource('Tenant', 'acme', tenant);
    expect(Object.keys(tenant.labels)).toEqual(['b', 'a']);
  });

  it('has a digest that is the beginning of the SHA-256 of its bytes', () => {
    expect(encodeResource('Tenant', 'acme', create(TenantSchema)).digest).toBe('e3b0c44298fc1c149afbf4c8996fb924');
  });
});

describe('bytes from the wire', () => {
  it('are refused when they do not match their version', () => {
    const backend = stored('Backend', 'acme/weather', { mcp: { url: 'http://127.0.0.1:3001/mcp' } });
    expect(codesOf({ ...backend, digest: digestOf('other') })).toEqual(['invalid-value']);
  });

  it('are refused when they are not a message of their kind', () => {
    expect(codesOf(bytes('Backend', new Uint8Array([0xff, 0xff, 0xff])))).toEqual(['syntax']);
  });

  it('are refused when they have fields of a newer version, at any depth', () => {
    const unknown = new Uint8Array([0xa2, 0x06, 0x01, 0x41]);
    const mcp = toBinary(
      BackendSchema,
      create(BackendSchema, { kind: { case: 'mcp', value: { url: 'http://a.example/' } } }),
    );
    expect(codesOf(bytes('Backend', new Uint8Array([...mcp, ...unknown])))).toEqual(['unknown-field']);
    const nested = new Uint8Array([0x0a, (mcp[1] ?? 0) + unknown.length, ...mcp.slice(2), ...unknown]);
    expect(codesOf(bytes('Backend', nested))).toEqual(['unknown-field']);
  });

  it('are refused when a rule has an effect of a newer version', () => {
    const rule = create(AuthorizationRuleSchema, { when: 'true', effect: 3 as never });
    const target = { kind: { case: 'tenant', value: {} } } as const;
    const body = toBinary(PolicySchema, create(PolicySchema, { target, authorization: [rule] }));
    const { problems } = decodeStored(bytes('Policy', body), 'acme');
    expect(problems.map(({ code, field }) => [code, field])).toEqual([
      ['invalid-value', 'spec.authorization[0].effect'],
    ]);
  });

  it('never throw, whatever they are', () => {
    const kind = fc.constantFrom<Kind>('Gateway', 'Tenant', 'Backend', 'VirtualServer', 'Route', 'Policy');
    fc.assert(
      fc.property(kind, fc.uint8Array({ maxLength: 64 }), (of, body) => {
        const { resource, problems } = decodeStored(bytes(of, body), 'acme');
        expect(resource === undefined).toBe(problems.length > 0);
      }),
    );
  });
});

describe('a document', () => {
  it('never throws, whatever its spec', () => {
    const key = fc.constantFrom(
      'mcp',
      'url',
      'match',
      'path',
      'target',
      'tenant',
      'authorization',
      'listeners',
      '__proto__',
      'x',
    );
    const anySpec = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom(null, true, 0, -1, 1.5, '', 'a', '\ud800'),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(key, tie('value'), { maxKeys: 4 }),
      ),
    })).value;
    fc.assert(
      fc.property(fc.constantFrom(...documents), anySpec, (document, spec) => {
        expect(decodeDocument({ ...document, spec: spec as never })).toHaveProperty('problems');
      }),
    );
  });

  it('is a duplicate when kind, tenant and name are taken', () => {
    const [gateway, tenant, backend] = documents.map((document) => ({ ...document, spec: {} }));
    const given = [gateway, tenant, backend, { ...backend, tenant: 'beta' }, { ...backend, kind: 'Route' }, backend];
    expect(findDuplicates(given as typeof documents)).toEqual([
      expect.objectContaining({ code: 'duplicate', kind: 'Backend', scope: 'acme', name: 'weather' }),
    ]);
  });
});

describe('keys in a policy', () => {
  it('are reported one by one, without repeating them', () => {
    const apiKeys = [
      { subject: 'a', key: 'SECRET-0123456789' },
      { subject: 'b', sha256: 'a'.repeat(64) },
      { subject: 'c', key: 'SECRET-9876543210' },
    ];
    const spec = { target: { tenant: {} }, authentication: { apiKeys } };
    const { resource } = decodeDocument({ kind: 'Policy', tenant: 'acme', name: 'access', spec });
    const problems = resource === undefined ? [] : inlineKeyProblems(resource);
    expect(problems.map(({ field }) => field)).toEqual([
      'spec.authentication.apiKeys[0].key',
      'spec.authentication.apiKeys[2].key',
    ]);
    expect(JSON.stringify(problems)).not.toContain('SECRET');
  });
});

function bytes(kind: Kind, body: Uint8Array): StoredResource {
  return { kind, name: 'x', body, digest: digestOf(body) };
}

function codesOf(resource: StoredResource): readonly string[] {
  return decodeStored(resource, 'acme').problems.map(({ code }) => code);
}
