import { NodePropagation_State as State } from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import {
  gateway,
  type LegacyMcpServer,
  mcpRoute,
  policy,
  RawMcpClient,
  type ResourceFile,
  startLegacyMcpServer,
  startSystem,
  type System,
  type SystemNode,
  tenant,
  until,
} from '@signalbox/test-harness';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

const keys = { alice: 'alice-key' };

describe('a configuration that cannot be served', () => {
  let upstream: LegacyMcpServer;
  let system: System;

  beforeAll(async () => {
    upstream = await startLegacyMcpServer();
    system = await startSystem({ pgUrl: inject('pgUrl') });
    await system.apply([gateway(), tenant(), ...route('one'), ...route('two')]);
  });

  afterAll(async () => {
    await system.stop();
    await upstream.stop();
  });

  const route = (name: string, rules = ['true']) => mcpRoute({ name, url: upstream.url, keys, rules });

  const tools = async (node: SystemNode, name: string): Promise<readonly string[] | number> => {
    const client = new RawMcpClient({ url: node.endpoint('acme', name), token: 'alice-key' });
    const { status } = await client.initialize();
    return status === 200 ? client.toolNames() : status;
  };

  describe('that the API can judge never leaves it', () => {
    const changed = (resource: ResourceFile | undefined, spec: object): ResourceFile => ({
      ...resource,
      spec: { ...(resource?.['spec'] as object), ...spec },
    });

    it.each<[string, () => ResourceFile[], { code: string; kind: string; field: string }]>([
      [
        'a reference to nothing',
        () => [changed(route('bad')[1], { members: [{ backend: 'nowhere' }] })],
        { code: 'dangling-reference', kind: 'VirtualServer', field: 'spec.members[0].backend' },
      ],
      [
        'an expression that is no CEL',
        () => [policy({ name: 'one', keys, rules: ['tool.name =='] })],
        { code: 'bad-expression', kind: 'Policy', field: 'spec.authorization[0].when' },
      ],
      [
        'a field that does not exist',
        () => [changed(route('bad')[0], { mcp: { url: upstream.url, urll: 'x' } })],
        { code: 'unknown-field', kind: 'Backend', field: 'spec.mcp.urll' },
      ],
      [
        'a path that another route has',
        () =>
          route('bad').map((resource) =>
            resource['kind'] === 'Route' ? changed(resource, { match: { path: '/acme/one' } }) : resource,
          ),
        { code: 'conflict', kind: 'Route', field: 'spec.match' },
      ],
      [
        'a path outside of the tenant',
        () =>
          route('bad').map((resource) =>
            resource['kind'] === 'Route' ? changed(resource, { match: { path: '/globex/bad' } }) : resource,
          ),
        { code: 'invalid-value', kind: 'Route', field: 'spec.match.path' },
      ],
    ])('%s', async (_name, resources, expected) => {
      const before = await system.revision('acme');
      const problems = await system.refused(resources());
      expect(problems).toContainEqual(
        expect.objectContaining({ ...expected, field: expect.stringContaining(expected.field) as string }),
      );
      expect(await system.revision('acme')).toBe(before);
    });

    it('not even in part: what was right in it is not committed either', async () => {
      const before = await system.revision('acme');
      await system.refused([...route('right'), policy({ name: 'wrong', keys, rules: ['('] })]);
      expect(await system.revision('acme')).toBe(before);
      expect(await tools(system.node(0), 'right')).toBe(404);
    });
  });

  it('that only one node refuses stays off that node, whole, and nodes says why', async () => {
    const strict = await system.startNode({ SIGNALBOX_PROXY_MAX_ROUTES_PER_TENANT: '2' }, 'strict');
    await system.settled();
    const before = await system.revision('acme');
    expect(await tools(strict, 'one')).toHaveLength(3);

    const revision = (
      await system.apply([...route('three'), policy({ name: 'one', keys, rules: ['tool.name == "echo"'] })], {
        wait: false,
      })
    ).get('acme');
    const status = await until('the refusal', async () => {
      const node = (await system.nodes()).find(({ id }) => id === 'strict');
      return node?.lastNack?.current === true ? node : undefined;
    });
    expect(status.lastNack).toMatchObject({ scope: 'acme', revision });
    expect(status.lastNack?.refusals.map(({ message }) => message).join()).toMatch(/routes/i);
    const scope = status.scopes.find(({ scope: name }) => name === 'acme');
    expect(scope).toMatchObject({ desiredRevision: revision, appliedRevision: before });

    // The other node took it; the strict one has nothing of it.
    await until('the other node', async () => ((await tools(system.node(0), 'three')) === 404 ? undefined : true));
    expect(await tools(system.node(0), 'one')).toEqual(['echo']);
    expect(await tools(strict, 'three')).toBe(404);
    expect(await tools(strict, 'one')).toHaveLength(3);

    const watched = await system.propagation('acme', revision);
    expect(watched?.nodes.find(({ node }) => node === 'strict')).toMatchObject({
      state: State.REFUSED,
      appliedRevision: before,
    });
    expect(watched?.done).toBe(true);

    // A revision that it can serve takes it out of the old one.
    await system.remove('acme', [
      ['Policy', 'three'],
      ['Route', 'three'],
    ]);
    expect(await tools(strict, 'one')).toEqual(['echo']);
    const recovered = (await system.nodes()).find(({ id }) => id === 'strict');
    expect(recovered?.lastNack?.current).toBe(false);
  });
});
