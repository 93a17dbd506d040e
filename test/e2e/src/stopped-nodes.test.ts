import {
  NodePropagation_State as State,
  Propagation_Outcome as Outcome,
} from '@signalbox/proto/signalbox/admin/v1/config_service_pb.ts';
import { gateway, mcpRoute, startSystem, type System, tenant } from '@signalbox/test-harness';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';

let system: System;
beforeAll(async () => {
  // Longer than any test waits.
  system = await startSystem({ pgUrl: inject('pgUrl'), nodes: 2, controlPlane: { SIGNALBOX_NODES_RETURN: '600000' } });
});
afterAll(() => system.stop());

const route = (name: string) => mcpRoute({ name, url: 'http://127.0.0.1:1/mcp', anonymous: true });

it('Nobody waits for a proxy that has been stopped: it says goodbye.', async () => {
  await system.apply([gateway(), tenant(), ...route('a')]);
  await system.node(1).stop();
  const revision = (await system.apply(route('b'), { wait: false })).get('acme');
  const { outcome, nodes } = await system.propagation('acme', revision);
  expect(outcome).toBe(Outcome.COMPLETE);
  expect(nodes.map(({ node, state }) => [node, state])).toEqual([
    ['node-0', State.APPLIED],
    ['node-1', State.DISCONNECTED],
  ]);
});
